/**
 * The way to one peer: at most one outgoing stream, dialled when there is something to say. Nothing is guaranteed:
 * what cannot be sent now is dropped and counted, and Raft says it again.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX } from "@openclaw/core/limits.ts";
import type { Clock, Random } from "@openclaw/core/ports.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { encodeMessages } from "@openclaw/core/raft/message-codec.ts";
import type { FrameStream } from "./frame.ts";
import * as limits from "./limits.ts";
import type { RaftCounters } from "./raft-counters.ts";

type LinkState =
  /** The next message dials. */
  | { readonly kind: "idle" }
  | { readonly kind: "dialling"; readonly abort: AbortController }
  /** The peer was not there a moment ago: messages are dropped until the pause is over. */
  | { readonly kind: "pausing"; readonly cancel: () => void }
  | { readonly kind: "open"; readonly frames: FrameStream; readonly since: number }
  | { readonly kind: "stopped" };

export interface RaftLinkOptions {
  readonly peer: NodeId;
  readonly stamp: Uint8Array;
  readonly dial: (signal: AbortSignal) => Promise<FrameStream>;
  /** Reads what the peer says after the handshake: only ever a refusal. @throws OpenClawError always */
  readonly readRefusal: (frame: Uint8Array) => never;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: RaftCounters;
  /** The link went down, or could not come up. */
  readonly onDown: (error: Error) => void;
}

/** What a message costs in a queue besides the bytes it carries. */
const MESSAGE_BYTES = 64;
/** A stream that lived this long was a good one: the next failure starts with the shortest pause. */
const STABLE_MS = 5_000;

export class RaftLink {
  readonly #options: RaftLinkOptions;
  #state: LinkState = { kind: "idle" };
  #queue: RaftMessage[] = [];
  #queuedBytes = 0;
  #failures = 0;
  /** The peer's window is full: the queue grows until it drains (R3). */
  #blocked = false;
  #flushing: "no" | "soon" | "cooling" = "no";

  constructor(options: RaftLinkOptions) {
    this.#options = options;
  }

  get state(): LinkState["kind"] {
    return this.#state.kind;
  }

  get queued(): number {
    return this.#queue.length;
  }

  send(messages: readonly RaftMessage[]): void {
    if (this.#state.kind === "pausing" || this.#state.kind === "stopped") {
      this.#options.counters.droppedUnreachable += messages.length;
      return;
    }
    for (const message of messages) {
      const bytes = sizeOf(message);
      const full =
        this.#queue.length >= limits.PEER_QUEUE_MESSAGES_MAX || this.#queuedBytes + bytes > limits.PEER_QUEUE_BYTES_MAX;
      if (full) {
        this.#options.counters.droppedFull++;
        continue;
      }
      this.#queue.push(message);
      this.#queuedBytes += bytes;
    }
    if (this.#state.kind === "idle") this.#dial();
    else if (this.#flushing === "no") this.#flushSoon();
  }

  /** Dials before there is anything to say. */
  connect(): void {
    if (this.#state.kind === "idle") this.#dial();
  }

  /** The peer is there: it has just dialled us. A pause is over, and what we have to say will not wait for the dial. */
  wake(): void {
    this.#failures = 0;
    if (this.#state.kind !== "pausing") return;
    this.#state.cancel();
    this.#state = { kind: "idle" };
    this.#dial();
  }

  stop(): void {
    const state = this.#state;
    this.#state = { kind: "stopped" };
    this.#forgetQueue();
    const reason = new OpenClawError("STOPPED");
    if (state.kind === "dialling") state.abort.abort(reason);
    if (state.kind === "pausing") state.cancel();
    if (state.kind === "open") state.frames.abort(reason);
  }

  #dial(): void {
    const abort = new AbortController();
    this.#state = { kind: "dialling", abort };
    this.#options.counters.dials++;
    this.#options.dial(abort.signal).then(
      (frames) => {
        if (this.#state.kind === "dialling") this.#open(frames);
        else frames.abort(new OpenClawError("STOPPED"));
      },
      (error: unknown) => {
        if (this.#state.kind === "dialling") this.#down(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }

  #open(frames: FrameStream): void {
    this.#state = { kind: "open", frames, since: this.#options.clock.now() };
    this.#blocked = false;
    frames.receive({
      message: (frame) => this.#options.readRefusal(frame),
      drained: () => {
        this.#blocked = false;
        this.#flush();
      },
      closed: (reason) => {
        if (this.#state.kind === "open")
          this.#down(reason ?? new OpenClawError("UNAVAILABLE", "the peer closed the stream"));
      },
    });
    this.#flush();
  }

  #down(error: Error): void {
    const { clock, random, counters } = this.#options;
    if (this.#state.kind === "open" && clock.now() - this.#state.since >= STABLE_MS) this.#failures = 0;
    const refused = error instanceof OpenClawError && error.code !== "UNAVAILABLE" && error.code !== "OVERLOADED";
    const doubled = Math.min(limits.REDIAL_MS_MAX, limits.REDIAL_MS_MIN * 2 ** this.#failures);
    const pause = (refused ? limits.REDIAL_REFUSED_MS : doubled) * (0.5 + random.unit() / 2);
    this.#failures = Math.min(this.#failures + 1, 16);
    counters.linkFailures++;
    this.#forgetQueue();
    const cancel = clock.after(pause, () => {
      if (this.#state.kind === "pausing") this.#state = { kind: "idle" };
    });
    this.#state = { kind: "pausing", cancel };
    this.#options.onDown(error);
  }

  #forgetQueue(): void {
    this.#options.counters.droppedUnreachable += this.#queue.length;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  /** What one turn of the event loop brings goes in one frame; the first frame after silence waits for nothing. */
  #flushSoon(): void {
    if (this.#state.kind !== "open" || this.#blocked) return;
    this.#flushing = "soon";
    queueMicrotask(() => {
      this.#flushing = "cooling";
      this.#flush();
      setImmediate(() => {
        this.#flushing = "no";
        if (this.#queue.length > 0) this.#flushSoon();
      });
    });
  }

  #flush(): void {
    while (this.#state.kind === "open" && !this.#blocked && this.#queue.length > 0) {
      const batch = this.#takeBatch();
      const payload = encodeMessages(batch);
      try {
        this.#blocked = !this.#state.frames.send(this.#options.stamp, payload);
      } catch (error) {
        if (!(error instanceof OpenClawError) || error.code !== "FRAME_TOO_LARGE") throw error;
        this.#options.counters.droppedTooLarge += batch.length;
        continue;
      }
      this.#options.counters.framesSent++;
      this.#options.counters.messagesSent += batch.length;
      this.#options.counters.bytesSent += payload.length;
    }
  }

  /** At least one message, at most a batch; usually the whole queue, which is then not copied. */
  #takeBatch(): RaftMessage[] {
    if (this.#queuedBytes <= BATCH_BYTES_MAX && this.#queue.length <= BATCH_ITEMS_MAX) {
      const batch = this.#queue;
      this.#queue = [];
      this.#queuedBytes = 0;
      return batch;
    }
    let bytes = 0;
    let count = 0;
    for (const message of this.#queue) {
      const size = sizeOf(message);
      if (count > 0 && (bytes + size > BATCH_BYTES_MAX || count === BATCH_ITEMS_MAX)) break;
      bytes += size;
      count++;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }
}

function sizeOf(message: RaftMessage): number {
  switch (message.kind) {
    case "append": {
      let bytes = MESSAGE_BYTES;
      for (const entry of message.entries) bytes += MESSAGE_BYTES + entry.data.length;
      return bytes;
    }
    case "forward":
      return MESSAGE_BYTES + message.data.length;
    default:
      return MESSAGE_BYTES;
  }
}
