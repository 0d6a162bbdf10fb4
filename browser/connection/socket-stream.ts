/** A WebSocket as the stream of bytes that libp2p encrypts. */
import type { AbortOptions, Logger } from "@libp2p/interface";
import { AbstractMessageStream, type SendResult } from "@libp2p/utils";
import { OpenClawError } from "@openclaw/core/errors.ts";

/** Bytes on their way in the browser at which writers are asked to wait; at half of them they go on. */
const SENDING_BYTES_MAX = 1_048_576;
/** Bytes that wait here meanwhile: what streams had begun to write. Above it the connection is ended. */
const WAITING_BYTES_MAX = 16 * 1_048_576;
/** No event says that a WebSocket has sent something, ms. */
const LOOK_AGAIN_MS = 50;

type Bytes = Parameters<AbstractMessageStream["sendData"]>[0];

export class SocketStream extends AbstractMessageStream {
  readonly #socket: WebSocket;
  #looking: ReturnType<typeof setTimeout> | undefined;

  /** @param socket open, of binary type `arraybuffer` */
  constructor(socket: WebSocket, log: Logger) {
    super({ log, direction: "outbound", maxWriteBufferLength: WAITING_BYTES_MAX });
    this.#socket = socket;
    socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      if (data instanceof ArrayBuffer) this.onData(new Uint8Array(data));
      else this.abort(new OpenClawError("MALFORMED_FRAME", "text on a WebSocket of bytes"));
    });
    socket.addEventListener("close", ({ wasClean }) => {
      clearTimeout(this.#looking);
      if (this.status !== "open") return;
      if (wasClean) this.onTransportClosed();
      else this.onRemoteReset();
    });
  }

  override sendData(data: Bytes): SendResult {
    const sentBytes = data.byteLength;
    // One message for all: each costs a frame, and a wake-up at the gateway.
    this.#socket.send(new Uint8Array(data.subarray()));
    const canSendMore = this.#socket.bufferedAmount < SENDING_BYTES_MAX;
    if (!canSendMore) this.#lookLater();
    return { sentBytes, canSendMore };
  }

  /** Not with 1006, as libp2p's own transport: browsers refuse that, and the socket would stay open for ever. */
  override sendReset(): void {
    clearTimeout(this.#looking);
    this.#socket.close();
  }

  override sendPause(): void {
    // A WebSocket cannot be asked to wait; what may come unasked is bounded by Yamux's windows.
  }

  override sendResume(): void {}

  /** Once all is given to the browser, which sends it first. */
  override async close(options?: AbortOptions): Promise<void> {
    if (this.status !== "open") return;
    while (this.status === "open" && this.writableNeedsDrain) await this.onDrain(options);
    if (this.status !== "open") return;
    this.#socket.close();
    this.onTransportClosed();
  }

  #lookLater(): void {
    clearTimeout(this.#looking);
    this.#looking = setTimeout(() => {
      if (this.#socket.bufferedAmount > SENDING_BYTES_MAX / 2) this.#lookLater();
      else this.safeDispatchEvent("drain");
    }, LOOK_AGAIN_MS);
  }
}

/** @throws OpenClawError UNAVAILABLE, or why the signal was aborted */
export function openSocket(url: string, signal: AbortSignal): Promise<WebSocket> {
  signal.throwIfAborted();
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  return new Promise((resolve, reject) => {
    const answered = new AbortController();
    const fail = (reason: unknown): void => {
      answered.abort();
      socket.close();
      reject(reason);
    };
    const options = { once: true, signal: answered.signal };
    const refused = (): void => fail(new OpenClawError("UNAVAILABLE", `no answer from ${url}`));
    socket.addEventListener("error", refused, options);
    socket.addEventListener("close", refused, options);
    signal.addEventListener("abort", () => fail(signal.reason), options);
    socket.addEventListener(
      "open",
      () => {
        answered.abort();
        resolve(socket);
      },
      options,
    );
  });
}
