/**
 * Wakes a worker that has nothing else to do than to wait for calls: in less than half of the time and the CPU that its
 * event loop takes (docs/log-store.md). The calls themselves go through the worker's port.
 */
export class Doorbell {
  readonly shared: SharedArrayBuffer;
  readonly #rings: Int32Array;
  /** Rings that this end has heard. */
  #heard = 0;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.shared = shared;
    this.#rings = new Int32Array(shared);
  }

  ring(): void {
    Atomics.add(this.#rings, 0, 1);
    Atomics.notify(this.#rings, 0);
  }

  /** Blocks the thread until a ring since the last `listen`; false if there was none for `ms`. */
  wait(ms: number): boolean {
    return Atomics.wait(this.#rings, 0, this.#heard, ms) !== "timed-out";
  }

  /** To be called before looking for calls: one that comes after the look then ends the next wait. */
  listen(): void {
    this.#heard = Atomics.load(this.#rings, 0);
  }
}
