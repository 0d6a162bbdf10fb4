/**
 * `/openclaw/snapshot/1`: one snapshot a stream. After the handshake the sender says header, chunks, end; the receiver
 * answers once, when the snapshot is staged (rule R8), or with the code of what went wrong. Every frame is
 * [stamp, kind, payload]. Memory is bounded on both sides: the sender waits for the window, the receiver for its disk.
 */
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isNodeId, isNonce, type NodeId, revision, term } from "@openclaw/core/ids.ts";
import { BATCH_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { Clock, SnapshotHeader } from "@openclaw/core/ports.ts";
import { metaTuple, readMeta } from "@openclaw/core/raft/entry-codec.ts";
import type { Guest } from "./admitted-stream.ts";
import { asError, type FrameStream } from "./frame.ts";
import type { Handshake } from "./handshake.ts";
import { SNAPSHOT_STAGE_MS, SNAPSHOT_STALL_MS, SNAPSHOT_WAITING_BYTES_MAX } from "./limits.ts";

const HEADER = Uint8Array.of(0);
const CHUNK = Uint8Array.of(1);
const END = Uint8Array.of(2);

export interface SnapshotSending {
  readonly handshake: Handshake;
  readonly clock: Clock;
  readonly to: NodeId;
  readonly remotePeer: string;
}

/** Resolves when the receiver has staged the snapshot. @throws OpenClawError UNAVAILABLE, or the code the receiver gave */
export async function sendSnapshot(
  frames: FrameStream,
  sending: SnapshotSending,
  header: SnapshotHeader,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const { handshake, clock, to } = sending;
  const answered = Promise.withResolvers<void>();
  // It may reject while we wait for the next chunk from the disk; it is awaited after the last one in any case.
  answered.promise.catch(() => undefined);
  let drained = Promise.withResolvers<void>();
  frames.receive({
    message: (answer) => {
      handshake.readAnswer(answer, sending.remotePeer, to);
      answered.resolve();
    },
    drained: () => drained.resolve(),
    closed: (reason) => answered.reject(reason ?? new OpenClawError("UNAVAILABLE", `${to} closed the stream`)),
  });
  const send = async (kind: Uint8Array, payload: Uint8Array): Promise<void> => {
    drained = Promise.withResolvers<void>();
    if (frames.send(handshake.stamp, kind, payload)) return;
    await within(clock, SNAPSHOT_STALL_MS, `${to} takes no more of the snapshot`, [drained.promise, answered.promise]);
  };
  try {
    await send(HEADER, encodeHeader(header));
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += BATCH_BYTES_MAX) {
        await send(CHUNK, chunk.subarray(at, at + BATCH_BYTES_MAX));
      }
    }
    frames.send(handshake.stamp, END);
    await within(clock, SNAPSHOT_STAGE_MS, `${to} did not confirm the snapshot`, [answered.promise]);
    frames.close();
  } catch (error) {
    frames.abort(asError(error));
    throw error instanceof OpenClawError
      ? error
      : new OpenClawError("UNAVAILABLE", asError(error).message, { cause: error });
  }
}

async function within(clock: Clock, ms: number, what: string, events: readonly Promise<void>[]): Promise<void> {
  const late = Promise.withResolvers<void>();
  const cancel = clock.after(ms, () => late.reject(new OpenClawError("UNAVAILABLE", what)));
  try {
    await Promise.race([...events, late.promise]);
  } finally {
    cancel();
  }
}

export type StageSnapshot = (header: SnapshotHeader, chunks: AsyncIterable<Uint8Array>) => Promise<void>;

/** Receives one snapshot. Resolves when the stream is over, with the reason if it failed. */
export function receiveSnapshot(
  guest: Guest,
  handshake: Handshake,
  clock: Clock,
  stage: StageSnapshot,
): Promise<Error | null> {
  const { frames, node } = guest;
  const over = Promise.withResolvers<Error | null>();
  const chunks = new ChunkQueue(frames, clock);
  let header: SnapshotHeader | null = null;
  let received = 0;

  const begin = (payload: Uint8Array): void => {
    if (header !== null) throw new OpenClawError("MALFORMED_FRAME", "a second snapshot header");
    header = decodeHeader(payload);
    if (header.from !== node) throw new OpenClawError("MALFORMED_FRAME", `${node} sends a snapshot of ${header.from}`);
    stage(header, chunks).then(
      () => {
        frames.send(handshake.welcome());
        frames.close();
      },
      (error: unknown) => {
        const why =
          error instanceof OpenClawError
            ? error
            : new OpenClawError("INTERNAL", asError(error).message, { cause: error });
        frames.send(handshake.refusal(why));
        frames.close(why);
      },
    );
  };
  const take = (payload: Uint8Array): void => {
    received += payload.length;
    if (header === null || received > header.bytes)
      throw new OpenClawError("MALFORMED_FRAME", "more than the header said");
    chunks.push(payload);
  };
  const end = (): void => {
    if (header === null || received !== header.bytes)
      throw new OpenClawError("MALFORMED_FRAME", "less than the header said");
    chunks.end();
  };

  frames.receive({
    message: (frame) => {
      const body = handshake.unstamp(frame, node);
      const payload = body.subarray(1);
      if (body[0] === HEADER[0]) begin(payload);
      else if (body[0] === CHUNK[0]) take(payload);
      else if (body[0] === END[0]) end();
      else throw new OpenClawError("MALFORMED_FRAME", "a snapshot frame of an unknown kind");
    },
    drained: () => undefined,
    closed: (reason) => {
      chunks.fail(reason ?? new OpenClawError("UNAVAILABLE", `${node} left in the middle of a snapshot`));
      over.resolve(reason);
    },
    lastWord: (error) => handshake.refusal(error),
  });
  return over.promise;
}

/** Chunks between the stream and the disk: pauses the stream above `SNAPSHOT_WAITING_BYTES_MAX`. */
class ChunkQueue implements AsyncIterable<Uint8Array> {
  readonly #frames: FrameStream;
  readonly #clock: Clock;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #state: "open" | "ended" | "failed" = "open";
  #error: Error | null = null;
  #wake: () => void = () => undefined;
  #cancelStall: () => void = () => undefined;

  constructor(frames: FrameStream, clock: Clock) {
    this.#frames = frames;
    this.#clock = clock;
    this.#watch();
  }

  push(chunk: Uint8Array): void {
    if (this.#state !== "open") throw new OpenClawError("MALFORMED_FRAME", "a chunk after the end");
    this.#waiting.push(chunk);
    this.#bytes += chunk.length;
    this.#watch();
    if (this.#bytes > SNAPSHOT_WAITING_BYTES_MAX) {
      this.#cancelStall();
      this.#frames.pause();
    }
    this.#wake();
  }

  end(): void {
    if (this.#state !== "open") throw new OpenClawError("MALFORMED_FRAME", "a second end");
    this.#cancelStall();
    this.#state = "ended";
    this.#wake();
  }

  fail(error: Error): void {
    this.#cancelStall();
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#error = error;
    this.#waiting = [];
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#waiting.shift();
      if (chunk !== undefined) {
        yield chunk;
        // Not before it has been written: what is in the consumer's hands counts as waiting.
        this.#taken(chunk.length);
      } else if (this.#state === "ended") {
        return;
      } else if (this.#error !== null) {
        throw this.#error;
      } else {
        const woken = Promise.withResolvers<void>();
        this.#wake = woken.resolve;
        await woken.promise;
      }
    }
  }

  #taken(bytes: number): void {
    const wasFull = this.#bytes > SNAPSHOT_WAITING_BYTES_MAX;
    this.#bytes -= bytes;
    if (!wasFull || this.#bytes > SNAPSHOT_WAITING_BYTES_MAX || this.#state !== "open") return;
    this.#watch();
    this.#frames.resume();
  }

  /** A sender that says nothing for too long is given up; not while it is we who keep it waiting. */
  #watch(): void {
    this.#cancelStall();
    this.#cancelStall = this.#clock.after(SNAPSHOT_STALL_MS, () => {
      this.#frames.abort(new OpenClawError("UNAVAILABLE", "the snapshot's sender went silent"));
    });
  }
}

function encodeHeader(header: SnapshotHeader): Uint8Array {
  const { epoch } = header;
  return encode([
    header.from,
    header.term,
    metaTuple(header.meta),
    epoch.counter,
    epoch.nonce,
    epoch.parent,
    epoch.departure,
    header.hash,
    header.bytes,
  ]);
}

function decodeHeader(bytes: Uint8Array): SnapshotHeader {
  const fields = new TupleReader(decode(bytes), "snapshot header");
  const header: SnapshotHeader = {
    from: fields.that(isNodeId, "a node's name"),
    term: term(fields.count()),
    meta: readMeta(fields.any()),
    epoch: {
      counter: fields.count(),
      nonce: fields.that(isNonce, "an epoch's nonce"),
      parent: fields.orNull((reader) => reader.that(isNonce, "an epoch's nonce")),
      departure: revision(fields.count()),
    },
    hash: fields.bytes(),
    bytes: fields.count(),
  };
  fields.end();
  if (header.hash.length !== 32) throw new OpenClawError("MALFORMED_FRAME", "a snapshot's hash is 32 bytes");
  return header;
}
