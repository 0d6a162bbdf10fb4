/** Turns a connection of byte frames into one of messages, on either side. */
import { OpenClawError } from "../errors.ts";
import { FRAME_BYTES_MAX } from "../limits.ts";
import { decodeChildMessage, decodeParentMessage, encodeChildMessage, encodeParentMessage } from "./codec.ts";
import type { ChildConnection, FrameConnection, ParentConnection } from "./message.ts";

type Bytes = FrameConnection<Uint8Array, Uint8Array>;

/** The child's end. A frame that cannot be read closes it. */
export const childConnection = (bytes: Bytes): ChildConnection =>
  new CodedConnection(bytes, encodeChildMessage, decodeParentMessage, () => undefined);

/** The parent's end. A frame that cannot be read is answered with goodbye, then the connection closes. */
export const parentConnection = (bytes: Bytes): ParentConnection =>
  new CodedConnection(bytes, encodeParentMessage, decodeChildMessage, (error) =>
    encodeParentMessage({ kind: "goodbye", code: error.code, details: error.details }),
  );

class CodedConnection<Out, In> implements FrameConnection<Out, In> {
  readonly #bytes: Bytes;
  readonly #encode: (message: Out) => Uint8Array;
  readonly #decode: (frame: Uint8Array) => In;
  readonly #lastWords: (error: OpenClawError) => Uint8Array | undefined;
  #unreadable = false;

  constructor(
    bytes: Bytes,
    encode: (message: Out) => Uint8Array,
    decode: (frame: Uint8Array) => In,
    lastWords: (error: OpenClawError) => Uint8Array | undefined,
  ) {
    this.#bytes = bytes;
    this.#encode = encode;
    this.#decode = decode;
    this.#lastWords = lastWords;
  }

  /** @throws OpenClawError FRAME_TOO_LARGE: nothing was sent, and the connection stands */
  send(message: Out): boolean {
    const frame = this.#encode(message);
    if (frame.length > FRAME_BYTES_MAX)
      throw new OpenClawError("FRAME_TOO_LARGE", `${frame.length} of ${FRAME_BYTES_MAX} bytes`);
    return this.#bytes.send(frame);
  }

  receive(handlers: { message(message: In): void; drained(): void; closed(reason: Error | null): void }): void {
    this.#bytes.receive({
      message: (frame) => {
        if (this.#unreadable) return;
        let message: In;
        try {
          message = this.#decode(frame);
        } catch (error) {
          if (!(error instanceof OpenClawError)) throw error;
          this.#unreadable = true;
          const lastWords = this.#lastWords(error);
          if (lastWords !== undefined) this.#bytes.send(lastWords);
          this.#bytes.close();
          handlers.closed(error);
          return;
        }
        handlers.message(message);
      },
      drained: () => handlers.drained(),
      closed: (reason) => {
        if (!this.#unreadable) handlers.closed(reason);
      },
    });
  }

  close(): void {
    this.#bytes.close();
  }
}
