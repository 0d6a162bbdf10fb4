/** An encrypted connection to a gateway that has proved who it is, and the streams on it. */
import type { MessageStream, Stream, StreamMuxer } from "@libp2p/interface";
import { handle, select } from "@libp2p/multistream-select";

/** How a libp2p node finds out whether another lives: it answers with what it was sent. */
const PING_PROTOCOL = "/ipfs/ping/1.0.0";
/** A gateway that opens a stream has said what for by then, ms. */
const NEGOTIATION_MS_MAX = 5_000;

export type GatewayStream = Stream;

export class GatewayConnection {
  readonly #transport: MessageStream;
  readonly #muxer: StreamMuxer;

  /**
   * @param transport what lies below the encryption
   * @param gone called when the connection has ended
   */
  constructor(transport: MessageStream, muxer: StreamMuxer, gone: () => void) {
    this.#transport = transport;
    this.#muxer = muxer;
    transport.addEventListener("close", gone);
    muxer.addEventListener("stream", ({ detail }) => void answer(detail));
  }

  get isOpen(): boolean {
    return this.#transport.status === "open" && this.#muxer.status === "open";
  }

  /** @throws whatever libp2p says: the gateway does not speak that protocol, or is gone; or why the signal was aborted */
  async newStream(protocol: string, signal: AbortSignal): Promise<GatewayStream> {
    const stream = await this.#muxer.createStream({ signal });
    try {
      stream.protocol = await select(stream, protocol, { signal });
      return stream;
    } catch (error) {
      stream.abort(asError(error));
      throw error;
    }
  }

  /** Ends it with all its streams, without a word. */
  abort(reason: Error): void {
    try {
      this.#muxer.abort(reason);
    } finally {
      this.#transport.abort(reason);
    }
  }

  /** Flushes its streams first. @throws why the signal was aborted */
  async close(signal: AbortSignal): Promise<void> {
    await this.#muxer.close({ signal });
    await this.#transport.close({ signal });
  }
}

/** The gateway asks for a protocol: for ping it gets an echo, for any other a "no" (identify, say: there is nothing to tell). */
async function answer(stream: Stream): Promise<void> {
  try {
    stream.protocol = await handle(stream, PING_PROTOCOL, { signal: AbortSignal.timeout(NEGOTIATION_MS_MAX) });
    stream.addEventListener("message", ({ data }) => {
      try {
        stream.send(data);
      } catch (error) {
        stream.abort(asError(error));
      }
    });
    stream.addEventListener("end", () => stream.close().catch((error: unknown) => stream.abort(asError(error))));
  } catch (error) {
    stream.abort(asError(error));
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
