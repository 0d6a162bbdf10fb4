/**
 * Few writes to a socket: each costs a system call here and a wake-up there, which is most of what a small message costs.
 * Two habits of the libraries below us are answered, both by a `send` of our own on the stream they write to:
 *
 * - @libp2p/noise 17 sends a frame as two pieces, length and ciphertext, and @libp2p/tcp 11 writes each piece by itself.
 *   A frame becomes one piece, on its way from Noise to the socket.
 * - @libp2p/yamux 8 answers every data frame with a window update, however little of the window is used. An update waits
 *   for the next frame that goes the same way, or until it is worth a write of its own; and the frames of one turn of the
 *   event loop go out together.
 */
import type { ConnectionEncrypter, MessageStream, StreamMuxerFactory } from "@libp2p/interface";
import { concatBytes } from "@openclaw/core/bytes.ts";
import { asError } from "./frame.ts";
import { GATHERED_BYTES_MAX, HELD_WINDOW_BYTES_MAX } from "./limits.ts";

type Bytes = Parameters<MessageStream["send"]>[0];

/** Makes an encrypter write each of its frames at once. */
export const gatheringEncrypter =
  <Components, Extension>(make: (components: Components) => ConnectionEncrypter<Extension>) =>
  (components: Components): ConnectionEncrypter<Extension> => {
    const encrypter = make(components);
    return {
      protocol: encrypter.protocol,
      secureInbound: (connection, options) => encrypter.secureInbound(inOnePiece(connection), options),
      secureOutbound: (connection, options) => encrypter.secureOutbound(inOnePiece(connection), options),
    };
  };

/** Makes Yamux write the frames of one turn at once, and window updates with them. */
export const gatheringMuxer = (make: () => StreamMuxerFactory) => (): StreamMuxerFactory => {
  const factory = make();
  return {
    protocol: factory.protocol,
    createStreamMuxer: (connection) => factory.createStreamMuxer(gathered(connection)),
  };
};

function inOnePiece(connection: MessageStream): MessageStream {
  const send = connection.send.bind(connection);
  connection.send = (data) => send(data instanceof Uint8Array ? data : data.subarray());
  return connection;
}

function gathered(connection: MessageStream): MessageStream {
  const send = connection.send.bind(connection);
  const close = connection.close.bind(connection);
  const windows = new HeldWindows();
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  const flush = (): boolean => {
    if (waiting.length === 0) return !connection.writableNeedsDrain;
    const frames = concatBytes([...waiting, ...windows.release()]);
    waiting = [];
    waitingBytes = 0;
    // What is written to a connection that is over is lost, as it would be on the wire.
    return connection.status === "open" && send(frames);
  };
  const flushLater = (): void => {
    try {
      flush();
    } catch (error) {
      connection.abort(asError(error));
    }
  };
  connection.send = (data) => {
    // It refuses by itself, and says how.
    if (connection.status !== "open") return send(data);
    const frame = windows.pass(data);
    if (frame === null) return !connection.writableNeedsDrain;
    if (waiting.length === 0) queueMicrotask(flushLater);
    waiting.push(...(frame instanceof Uint8Array ? [frame] : frame));
    waitingBytes += frame.byteLength;
    return waitingBytes >= GATHERED_BYTES_MAX ? flush() : !connection.writableNeedsDrain;
  };
  connection.close = async (options) => {
    flushLater();
    await close(options);
  };
  return connection;
}

/** Yamux (its specification, "Framing"): version, type, flags in 16 bits, stream in 32, length in 32. */
const HEADER_BYTES = 12;
const WINDOW_UPDATE = 1;

/**
 * Window updates that were not worth a write yet. A sender that waits for its window waits for ours only while we have
 * bytes that we did not read: what is held is less than any window.
 */
class HeldWindows {
  /** Bytes by stream; emptied with every frame that goes out. */
  readonly #held = new Map<number, number>();

  /** What to send for `data`: itself, or all that is held of its stream once that is much, or nothing. */
  pass(data: Bytes): Bytes | null {
    if (!(data instanceof Uint8Array) || data.length !== HEADER_BYTES) return data;
    const header = viewOf(data);
    // One with a flag opens, closes or resets a stream.
    if (header.getUint8(1) !== WINDOW_UPDATE || header.getUint16(2) !== 0) return data;
    const stream = header.getUint32(4);
    const bytes = (this.#held.get(stream) ?? 0) + header.getUint32(8);
    if (bytes < HELD_WINDOW_BYTES_MAX) {
      this.#held.set(stream, bytes);
      return null;
    }
    this.#held.delete(stream);
    return update(stream, bytes);
  }

  release(): readonly Uint8Array[] {
    if (this.#held.size === 0) return [];
    const updates = [...this.#held].map(([stream, bytes]) => update(stream, bytes));
    this.#held.clear();
    return updates;
  }
}

function update(stream: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES);
  const header = viewOf(frame);
  header.setUint8(1, WINDOW_UPDATE);
  header.setUint32(4, stream);
  header.setUint32(8, bytes);
  return frame;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
