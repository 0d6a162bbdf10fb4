/** HTTP/1.1 with connections kept alive, one for each caller. */
import http from "node:http";

/** Longer than any node takes to give up, ms. */
const ANSWER_MS_MAX = 15_000;

export interface HttpRequest {
  readonly method: "GET" | "PUT" | "POST";
  readonly path: string;
  readonly type?: string;
  readonly body?: Uint8Array | string;
}

export class HttpClient {
  readonly #agent: http.Agent;
  readonly #hostname: string;
  readonly #port: string;
  readonly #timeoutMs: number;

  /** @param timeoutMs a request without an answer for so long has failed */
  constructor(base: string, callers: number, timeoutMs = ANSWER_MS_MAX) {
    const { hostname, port } = new URL(base);
    this.#timeoutMs = timeoutMs;
    this.#hostname = hostname;
    this.#port = port;
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: callers });
  }

  /** The body of an answer with status 200; rejects at any other. */
  ask(request: HttpRequest): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#send(request, this.#timeoutMs, reject, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("end", () => {
          const body = Buffer.concat(chunks);
          if (response.statusCode === 200) resolve(body);
          else reject(new Error(`${request.method} ${request.path}: status ${response.statusCode} ${body}`));
        });
      });
    });
  }

  /** An answer that does not end: resolves when it begins, and hands over its lines as they come. */
  lines(request: HttpRequest, line: (text: string) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#send(request, 0, reject, (response) => {
        if (response.statusCode !== 200) reject(new Error(`${request.path}: status ${response.statusCode}`));
        let rest = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          const parts = (rest + chunk).split("\n");
          rest = parts.pop() ?? "";
          for (const part of parts) line(part);
        });
        resolve();
      });
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(
    { method, path, type, body }: HttpRequest,
    timeoutMs: number,
    failed: (error: Error) => void,
    answered: (response: http.IncomingMessage) => void,
  ): void {
    const headers: http.OutgoingHttpHeaders = {};
    if (type !== undefined) headers["content-type"] = type;
    if (body !== undefined) headers["content-length"] = Buffer.byteLength(body);
    const request = http.request(
      { agent: this.#agent, hostname: this.#hostname, port: this.#port, method, path, headers },
      (response) => {
        response.once("error", failed);
        answered(response);
      },
    );
    request.once("error", failed);
    if (timeoutMs > 0) request.setTimeout(timeoutMs, () => request.destroy(new Error("no answer in time")));
    request.end(body);
  }
}
