/** A connection in memory that delivers nothing until it is flushed, and may be cut at any frame. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";

type Handlers = Parameters<FrameConnection<Uint8Array, Uint8Array>["receive"]>[0];

/** Two ends and what is between them. */
export class Wire {
  readonly child: End = new End(this);
  readonly parent: End = new End(this);
  open = true;

  /** Frames on their way. */
  get waiting(): number {
    return this.child.inbox.length + this.parent.inbox.length;
  }

  /** Both sides see the connection end; what was on its way is lost. */
  cut(): void {
    if (!this.open) return;
    this.open = false;
    for (const end of [this.child, this.parent]) {
      end.inbox.length = 0;
      end.handlers?.closed(new OpenClawError("UNAVAILABLE", "the wire was cut"));
    }
  }

  /** Delivers one frame, if there is one. */
  deliver(): boolean {
    for (const end of [this.parent, this.child]) {
      if (end.handlers === null) continue;
      const frame = end.inbox.shift();
      if (frame === undefined) continue;
      end.handlers.message(frame);
      return true;
    }
    return false;
  }
}

class End implements FrameConnection<Uint8Array, Uint8Array> {
  readonly #wire: Wire;
  readonly inbox: Uint8Array[] = [];
  handlers: Handlers | null = null;
  /** Frames sent from here. */
  sent = 0;
  #blocked = false;

  /** The other side does not read: what is sent still waits on the wire, but the sender is told to stop. */
  block(): void {
    this.#blocked = true;
  }

  unblock(): void {
    this.#blocked = false;
    this.handlers?.drained();
  }

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  send(frame: Uint8Array): boolean {
    if (!this.#wire.open) return false;
    this.sent++;
    (this === this.#wire.child ? this.#wire.parent : this.#wire.child).inbox.push(frame);
    return !this.#blocked;
  }

  receive(handlers: Handlers): void {
    this.handlers = handlers;
  }

  /** What was sent before still arrives; then the other side sees the end. */
  close(): void {
    if (!this.#wire.open) return;
    this.#wire.open = false;
    const other = this === this.#wire.child ? this.#wire.parent : this.#wire.child;
    for (const frame of other.inbox.splice(0)) other.handlers?.message(frame);
    other.handlers?.closed(null);
  }
}
