/** As much of NATS's protocol as a benchmark needs: publish, subscribe, ask. One connection, text lines and payloads. */
import net from "node:net";

type Handler = (payload: Buffer, subject: string) => void;

const CRLF = "\r\n";
const ASK_MS_MAX = 10_000;

export class NatsClient {
  readonly #socket: net.Socket;
  readonly #handlers = new Map<string, Handler>();
  readonly #inbox = `_INBOX.${crypto.randomUUID().replaceAll("-", "")}`;
  readonly #asked = new Map<string, (payload: Buffer) => void>();
  #rest: Buffer = Buffer.alloc(0);
  /** The message whose payload has not come whole. */
  #open: { readonly sid: string; readonly subject: string; readonly bytes: number } | null = null;
  #next = 1;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#received(chunk));
    socket.on("error", () => undefined);
    socket.write(`CONNECT {"verbose":false,"pedantic":false,"protocol":1}${CRLF}PING${CRLF}`);
    this.subscribe(`${this.#inbox}.*`, (payload, subject) => {
      const id = subject.slice(this.#inbox.length + 1);
      this.#asked.get(id)?.(payload);
      this.#asked.delete(id);
    });
  }

  static async connect(port: number): Promise<NatsClient> {
    const socket = net.connect(port, "127.0.0.1");
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new NatsClient(socket);
  }

  subscribe(subject: string, handler: Handler): void {
    const sid = String(this.#next++);
    this.#handlers.set(sid, handler);
    this.#socket.write(`SUB ${subject} ${sid}${CRLF}`);
  }

  /** The answer; JetStream's own answers are JSON. @throws Error when none comes */
  ask(subject: string, payload: Uint8Array): Promise<Buffer> {
    const id = String(this.#next++);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#asked.delete(id);
        reject(new Error(`no answer to ${subject}`));
      }, ASK_MS_MAX);
      this.#asked.set(id, (answer) => {
        clearTimeout(late);
        resolve(answer);
      });
      const head = Buffer.from(`PUB ${subject} ${this.#inbox}.${id} ${payload.length}${CRLF}`);
      this.#socket.write(Buffer.concat([head, payload, Buffer.from(CRLF)]));
    });
  }

  /** An API call of JetStream. @throws Error what it is refused with */
  async api(subject: string, body: unknown): Promise<Record<string, unknown>> {
    const answer: unknown = JSON.parse(String(await this.ask(subject, Buffer.from(JSON.stringify(body)))));
    if (typeof answer !== "object" || answer === null) throw new Error(`${subject}: no object`);
    if ("error" in answer) throw new Error(`${subject}: ${JSON.stringify(answer.error)}`);
    return { ...answer };
  }

  close(): void {
    this.#socket.destroy();
  }

  #received(chunk: Buffer): void {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      if (this.#open !== null) {
        const { sid, subject, bytes } = this.#open;
        if (data.length < at + bytes + CRLF.length) break;
        this.#open = null;
        this.#handlers.get(sid)?.(data.subarray(at, at + bytes), subject);
        at += bytes + CRLF.length;
        continue;
      }
      const end = data.indexOf(CRLF, at);
      if (end < 0) break;
      this.#line(data.toString("utf8", at, end));
      at = end + CRLF.length;
    }
    this.#rest = data.subarray(at);
  }

  #line(line: string): void {
    if (line === "PING") this.#socket.write(`PONG${CRLF}`);
    else if (line.startsWith("MSG ")) {
      const [, subject = "", sid = "", ...rest] = line.split(" ");
      this.#open = { sid, subject, bytes: Number(rest.at(-1)) };
    } else if (line.startsWith("-ERR")) throw new Error(line);
  }
}
