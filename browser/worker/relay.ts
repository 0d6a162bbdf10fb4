/**
 * A frame connection whose other end is in another thread, or in another tab. Messages between the two ends come in order
 * and are never lost while both live; credit bounds what is under way.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import { type ErrorData, errorData, errorOf } from "./error-data.ts";

export type RelayMessage<T> =
  | { readonly kind: "frame"; readonly frame: T }
  /** So many more frames were taken: credit for as many. */
  | { readonly kind: "taken"; readonly count: number }
  /** The last one. The error is null when it was closed on purpose. */
  | { readonly kind: "closed"; readonly error: ErrorData | null };

/** Frames not taken by the other end at which the sender is asked to wait. */
const FRAMES_AHEAD = 16;
/**
 * Frames not taken at which the connection is ended: the other end does not run. A gateway's stream cannot be asked to wait;
 * what it may send unasked is bounded by the protocol, and is less. A frame has at most `FRAME_BYTES_MAX`.
 */
export const FRAMES_MAX = 128;

type Handlers<In> = Parameters<FrameConnection<unknown, In>["receive"]>[0];

export class RelayEnd<Out, In> implements FrameConnection<Out, In> {
  readonly #post: (message: RelayMessage<Out>) => void;
  readonly #gone: () => void;
  #handlers: Handlers<In> | null = null;
  /** Null while open; then why it ended. */
  #ended: { readonly reason: Error | null } | null = null;
  /** Frames sent that were not taken. */
  #ahead = 0;
  #waits = false;
  /** Frames taken, of which the other end was not told: whoever takes them from here asked to wait. */
  #untold = 0;
  #held = false;

  /** @param gone called when it has ended, after what was posted last */
  constructor(post: (message: RelayMessage<Out>) => void, gone: () => void) {
    this.#post = post;
    this.#gone = gone;
  }

  send(frame: Out): boolean {
    if (this.#ended !== null) return false;
    if (this.#ahead >= FRAMES_MAX) {
      this.fail(new OpenClawError("OVERLOADED", `${FRAMES_MAX} frames were not taken`));
      return false;
    }
    this.#ahead++;
    this.#post({ kind: "frame", frame });
    this.#waits = this.#ahead >= FRAMES_AHEAD;
    return !this.#waits;
  }

  receive(handlers: Handlers<In>): void {
    this.#handlers = handlers;
    if (this.#ended !== null) handlers.closed(this.#ended.reason);
  }

  close(): void {
    if (this.#ended !== null) return;
    this.#post({ kind: "closed", error: null });
    this.end(null);
  }

  /** Ends it at both ends for that reason; null: as `close`. */
  fail(reason: Error | null): void {
    if (reason === null) return this.close();
    if (this.#ended !== null) return;
    this.#post({ kind: "closed", error: errorData(reason) });
    this.end(reason);
  }

  /** The other end is gone: nobody is told. */
  end(reason: Error | null): void {
    if (this.#ended !== null) return;
    this.#ended = { reason };
    this.#gone();
    this.#handlers?.closed(reason);
  }

  /** What comes from the other end. */
  take(message: RelayMessage<In>): void {
    if (this.#ended !== null) return;
    switch (message.kind) {
      case "frame":
        this.#untold++;
        this.#handlers?.message(message.frame);
        this.#tell();
        return;
      case "taken":
        this.#ahead -= message.count;
        if (!this.#waits || this.#ahead > FRAMES_AHEAD / 2) return;
        this.#waits = false;
        this.#handlers?.drained();
        return;
      case "closed":
        return this.end(message.error === null ? null : errorOf(message.error));
    }
  }

  /** No more credit for the other end, until `resume`. */
  pause(): void {
    this.#held = true;
  }

  resume(): void {
    this.#held = false;
    this.#tell();
  }

  #tell(): void {
    if (this.#held || this.#untold === 0 || this.#ended !== null) return;
    this.#post({ kind: "taken", count: this.#untold });
    this.#untold = 0;
  }
}

/** Passes on everything between an end and the connection that it stands for. */
export function join<Out, In>(end: RelayEnd<Out, In>, connection: FrameConnection<In, Out>): void {
  end.receive({
    message: (frame) => {
      try {
        if (!connection.send(frame)) end.pause();
      } catch (error) {
        // FRAME_TOO_LARGE: who sent it is another thread, and went on.
        end.fail(error instanceof Error ? error : new Error(String(error)));
      }
    },
    drained: () => undefined,
    closed: () => connection.close(),
  });
  connection.receive({
    message: (frame) => void end.send(frame),
    drained: () => end.resume(),
    closed: (reason) => end.fail(reason),
  });
}
