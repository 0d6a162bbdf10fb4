/** A connection between two processes under virtual time: frames in order, bounded, and it may be cut at any frame. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { ProcessClock, VirtualClock } from "./virtual-clock.ts";

type Handlers = Parameters<FrameConnection<Uint8Array, Uint8Array>["receive"]>[0];

export interface LineOptions {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly delayMs: number;
  readonly child: ProcessClock;
  readonly parent: ProcessClock;
  /** Called once, when nothing travels on it any more. */
  readonly over: () => void;
}

/** Frames on their way in one direction at which the sender is told to wait. */
const FRAMES_MAX = 32;
/** Until an end notices that the line was cut, ms: a peer that lost its power says nothing. */
const NOTICED_MS_MAX = 3_000;

export class Line {
  readonly child: LineEnd;
  readonly parent: LineEnd;
  readonly #options: LineOptions;
  #state: "open" | "ending" | "over" = "open";

  constructor(options: LineOptions) {
    this.#options = options;
    this.child = new LineEnd(this, options.child);
    this.parent = new LineEnd(this, options.parent);
  }

  get open(): boolean {
    return this.#state === "open";
  }

  /** What is on its way is lost, and the ends notice it sooner or later. */
  cut(): void {
    if (this.#state === "over") return;
    this.#end();
    for (const end of [this.child, this.parent]) {
      this.#options.clock.after(this.#options.random.below(NOTICED_MS_MAX), () =>
        end.closed(new OpenClawError("UNAVAILABLE", "the line was cut")),
      );
    }
  }

  carry(from: LineEnd, frame: Uint8Array): void {
    const to = this.#other(from);
    this.#after(to, () => to.received(frame, from));
  }

  /** `from` closed it: what was sent before still arrives. */
  close(from: LineEnd): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    const to = this.#other(from);
    this.#after(to, () => {
      this.#end();
      to.closed(null);
    });
  }

  #after(to: LineEnd, run: () => void): void {
    const { clock, random, delayMs } = this.#options;
    to.due = Math.max(to.due, clock.now() + delayMs + random.below(delayMs + 1));
    clock.after(to.due - clock.now(), () => {
      if (this.#state !== "over") run();
    });
  }

  #end(): void {
    this.#state = "over";
    this.#options.over();
  }

  #other(end: LineEnd): LineEnd {
    return end === this.child ? this.parent : this.child;
  }
}

class LineEnd implements FrameConnection<Uint8Array, Uint8Array> {
  readonly #line: Line;
  readonly #process: ProcessClock;
  #handlers: Handlers | null = null;
  #onItsWay = 0;
  /** What was sent from here. */
  frames = 0;
  bytes = 0;
  /** When the last frame so far arrives here. */
  due = 0;

  constructor(line: Line, process: ProcessClock) {
    this.#line = line;
    this.#process = process;
  }

  send(frame: Uint8Array): boolean {
    if (!this.#line.open || this.#process.ended) return false;
    this.#line.carry(this, frame);
    this.frames++;
    this.bytes += frame.length;
    return ++this.#onItsWay < FRAMES_MAX;
  }

  receive(handlers: Handlers): void {
    this.#handlers = handlers;
  }

  close(): void {
    if (!this.#process.ended) this.#line.close(this);
  }

  received(frame: Uint8Array, from: LineEnd): void {
    this.#process.run(() => this.#handlers?.message(frame));
    from.arrived();
  }

  arrived(): void {
    if (this.#onItsWay-- === FRAMES_MAX) this.#process.run(() => this.#handlers?.drained());
  }

  closed(reason: Error | null): void {
    this.#process.run(() => this.#handlers?.closed(reason));
  }
}
