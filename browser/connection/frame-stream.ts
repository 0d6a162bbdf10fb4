/**
 * Frames on a libp2p stream in a browser. It never stops reading: what a gateway may send unasked is bounded by the
 * protocol (a few runs of events that were not yet taken).
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { encodeFrame, FrameParser } from "@openclaw/core/sync/frame.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import type { GatewayStream } from "./gateway-connection.ts";

type Frames = FrameConnection<Uint8Array, Uint8Array>;
type Handlers = Parameters<Frames["receive"]>[0];
type StreamData = Parameters<GatewayStream["send"]>[0];

/** What is not flushed by then is dropped, ms. */
const CLOSE_MS_MAX = 1_000;

export class FrameStream implements Frames {
  readonly #stream: GatewayStream;
  readonly #gone: () => void;
  readonly #parser = new FrameParser();
  #handlers: Handlers | null = null;
  /** Null while open; then why it ended. */
  #ended: { readonly reason: Error | null } | null = null;
  #blocked = false;

  /** @param gone called when it has ended */
  constructor(stream: GatewayStream, gone: () => void = () => undefined) {
    this.#stream = stream;
    this.#gone = gone;
    // A quiet link is kept alive, and found dead, by the protocol above.
    stream.inactivityTimeout = Number.MAX_SAFE_INTEGER;
    stream.addEventListener("message", (event) => this.#received(event.data));
    stream.addEventListener("drain", () => {
      // `drain` only says "try again": what was buffered goes out in the microtask after it and may fill the window.
      queueMicrotask(() => {
        if (!this.#blocked || this.#stream.writableNeedsDrain) return;
        this.#blocked = false;
        this.#handlers?.drained();
      });
    });
    stream.addEventListener("end", () => {
      // An abort or a reset dispatches "end" as well, and then "close" with its error.
      if (stream.status === "open" || stream.status === "closing") this.close();
    });
    stream.addEventListener("close", (event) => this.#end(event.error ?? null));
  }

  /** @throws OpenClawError FRAME_TOO_LARGE */
  send(payload: Uint8Array): boolean {
    if (this.#ended !== null) return false;
    const frame = encodeFrame(payload);
    try {
      this.#stream.send(frame);
    } catch (error) {
      this.#fail(error);
      return false;
    }
    this.#blocked = this.#stream.writableNeedsDrain;
    return !this.#blocked;
  }

  receive(handlers: Handlers): void {
    this.#handlers = handlers;
    if (this.#ended !== null) handlers.closed(this.#ended.reason);
  }

  close(): void {
    if (this.#ended !== null) return;
    this.#end(null);
    // Sent bytes are flushed; what the gateway still sends falls on a stream that nobody listens to.
    this.#stream
      .close({ signal: AbortSignal.timeout(CLOSE_MS_MAX) })
      .catch((error: unknown) => this.#stream.abort(asError(error)));
  }

  /** Ends it at once, without a word to the other side: the network is gone. */
  cut(reason: Error): void {
    if (this.#ended !== null) return;
    this.#end(reason);
    this.#stream.abort(reason);
  }

  #received(data: StreamData): void {
    if (this.#ended !== null) return;
    try {
      for (const chunk of data instanceof Uint8Array ? [data] : data) this.#parser.push(chunk, this.#deliver);
    } catch (error) {
      this.#fail(error);
    }
  }

  #deliver = (frame: Uint8Array): void => {
    if (this.#ended === null) this.#handlers?.message(frame);
  };

  #fail(error: unknown): void {
    if (this.#ended !== null) return;
    const reason = asError(error);
    this.#end(reason);
    this.#stream.abort(reason);
  }

  #end(reason: Error | null): void {
    if (this.#ended !== null) return;
    this.#ended = { reason };
    this.#gone();
    this.#handlers?.closed(reason);
  }
}

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new OpenClawError("UNAVAILABLE", String(error));
