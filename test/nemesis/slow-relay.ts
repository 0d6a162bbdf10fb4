/**
 * A slow network where the kernel has none (netem): connections to nodes lead through here, and what is sent over them is
 * handed on later, each way for itself, in order, as TCP must. A node cannot tell, but for the address.
 */
import net from "node:net";

/** Bytes on their way over one connection and direction; beyond, its sender has to wait, as with a full window. */
const UNDERWAY_MAX = 4 * 1024 * 1024;

export interface RelayTarget {
  readonly host: string;
  readonly port: number;
}

export class SlowRelay {
  readonly #delayMs: () => number;
  readonly #servers: net.Server[] = [];
  readonly #sockets = new Set<net.Socket>();
  readonly #ports: number[] = [];
  #carried = 0;
  #underway = 0;

  private constructor(delayMs: () => number) {
    this.#delayMs = delayMs;
  }

  /** @param delayMs drawn for each piece */
  static async open(host: string, targets: readonly RelayTarget[], delayMs: () => number): Promise<SlowRelay> {
    const relay = new SlowRelay(delayMs);
    for (const target of targets) await relay.#listen(host, target);
    return relay;
  }

  /** Where each of the targets is reached. */
  get ports(): readonly number[] {
    return this.#ports;
  }

  /** Bytes that arrived at the other end. */
  get carried(): number {
    return this.#carried;
  }

  /** Bytes that are held back. */
  get underway(): number {
    return this.#underway;
  }

  /** Breaks its connections; what is on its way is lost. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  async #listen(host: string, target: RelayTarget): Promise<void> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (caller) => {
      const called = net.connect({ ...target, allowHalfOpen: true, noDelay: true });
      this.#hold(caller, called);
      this.#hold(called, caller);
      this.#carry(caller, called);
      this.#carry(called, caller);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, host, resolve);
    });
    this.#servers.push(server);
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
    this.#ports.push(address.port);
  }

  #hold(socket: net.Socket, other: net.Socket): void {
    this.#sockets.add(socket);
    // The close that follows says all there is to say of it.
    socket.on("error", () => undefined);
    socket.once("close", (broken) => {
      this.#sockets.delete(socket);
      // In good order it has ended, and what it sent before may be on its way still.
      if (broken) other.destroy();
    });
  }

  #carry(from: net.Socket, to: net.Socket): void {
    let underway = 0;
    const waiting: { readonly at: number; readonly act: () => void }[] = [];
    let timer: NodeJS.Timeout | undefined;
    to.once("close", () => clearTimeout(timer));
    // One timer for the first in the queue: timers of their own would not keep the order.
    const proceed = (): void => {
      for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
        const ms = first.at - performance.now();
        if (ms > 0) {
          timer = setTimeout(proceed, Math.ceil(ms));
          return;
        }
        waiting.shift();
        first.act();
      }
    };
    const later = (act: () => void): void => {
      const at = Math.max(waiting.at(-1)?.at ?? 0, performance.now() + this.#delayMs());
      if (waiting.push({ at, act }) === 1) proceed();
    };
    from.on("data", (chunk) => {
      underway += chunk.length;
      this.#underway += chunk.length;
      if (underway > UNDERWAY_MAX) from.pause();
      later(() => {
        to.write(chunk, (error) => {
          underway -= chunk.length;
          this.#underway -= chunk.length;
          if (error == null) this.#carried += chunk.length;
          if (underway <= UNDERWAY_MAX) from.resume();
        });
      });
    });
    from.once("end", () => later(() => to.end()));
  }
}
