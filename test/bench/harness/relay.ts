/** A cable between two processes: counts what goes over it, and can be pulled out and put back. */
import net from "node:net";

export class Relay {
  readonly #target: number;
  readonly #server = net.createServer((socket) => this.#join(socket));
  readonly #sockets = new Set<net.Socket>();
  #port = 0;
  /** Payload of TCP, both ways together. */
  bytes = 0;

  private constructor(target: number) {
    this.#target = target;
    // A cable is no reason to go on when nobody uses it any more.
    this.#server.unref();
  }

  /** To a port of this machine; whoever it is need not listen yet. */
  static async open(target: number): Promise<Relay> {
    const relay = new Relay(target);
    await relay.mend();
    return relay;
  }

  get port(): number {
    return this.#port;
  }

  /** Both ends hear of it at once; who dials meanwhile is refused. */
  async cut(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  async mend(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("a listening server has a port");
    this.#port = address.port;
  }

  #join(from: net.Socket): void {
    const to = net.connect(this.#target, "127.0.0.1");
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      this.#sockets.add(one);
      one.setNoDelay(true);
      one.on("data", (chunk: Buffer) => {
        this.bytes += chunk.length;
        if (!other.write(chunk)) one.pause();
      });
      one.on("drain", () => other.resume());
      // A cut, or an end that died: the other end hears of it by the close.
      one.on("error", () => undefined);
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}
