/**
 * `/openclaw/snapshot/1`: one snapshot a stream. After the handshake:
 *
 *   sender                       receiver
 *   header ─────────────────────►
 *          ◄───────────────────── offset: what it holds of this very snapshot from an earlier try
 *   chunk … from the offset on ─►
 *   end ────────────────────────►
 *          ◄───────────────────── answer: staged (rule R8), or the code of what went wrong; at any time
 *
 * A sender's frame is [stamp, kind, payload], a receiver's [kind, payload]. Memory is bounded on both sides: the sender
 * waits for the window, the receiver for its disk.
 */
import { concatBytes } from "@openclaw/core/bytes.ts";
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import { BATCH_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { Clock, SnapshotChunks, SnapshotHeader } from "@openclaw/core/ports.ts";
import { decodeSnapshotHeader, encodeSnapshotHeader } from "@openclaw/core/replica/snapshot-codec.ts";
import type { Guest } from "./admitted-stream.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { asError, type FrameStream } from "./frame.ts";
import type { Handshake } from "./handshake.ts";
import { SNAPSHOT_STAGE_MS, SNAPSHOT_STALL_MS } from "./limits.ts";

const HEADER = Uint8Array.of(0);
const CHUNK = Uint8Array.of(1);
const END = Uint8Array.of(2);

const OFFSET = Uint8Array.of(0);
const ANSWER = Uint8Array.of(1);

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
  chunks: SnapshotChunks,
): Promise<void> {
  const { handshake, clock, to } = sending;
  const offset = Promise.withResolvers<number>();
  const answered = Promise.withResolvers<void>();
  // They may reject while we wait for the next chunk from the disk; the answer is awaited after the last one in any case.
  offset.promise.catch(() => undefined);
  answered.promise.catch(() => undefined);
  let drained = Promise.withResolvers<void>();
  frames.receive({
    message: (frame) => {
      const payload = frame.subarray(1);
      if (frame[0] === OFFSET[0]) {
        offset.resolve(decodeOffset(payload, header.bytes));
      } else {
        handshake.readAnswer(payload, sending.remotePeer, to);
        answered.resolve();
      }
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
    await send(HEADER, encodeSnapshotHeader(header));
    // It may have to read what it holds first.
    await within(clock, SNAPSHOT_STAGE_MS, `${to} did not say where to go on`, [offset.promise, answered.promise]);
    for await (const chunk of chunks(await offset.promise)) {
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

async function within(clock: Clock, ms: number, what: string, events: readonly Promise<unknown>[]): Promise<void> {
  const late = Promise.withResolvers<void>();
  const cancel = clock.after(ms, () => late.reject(new OpenClawError("UNAVAILABLE", what)));
  try {
    await Promise.race([...events, late.promise]);
  } finally {
    cancel();
  }
}

export type StageSnapshot = (header: SnapshotHeader, chunks: SnapshotChunks) => Promise<void>;

/** Receives one snapshot. Resolves when the stream is over, with the reason if it failed. */
export function receiveSnapshot(
  guest: Guest,
  handshake: Handshake,
  clock: Clock,
  stage: StageSnapshot,
): Promise<Error | null> {
  const { frames, node } = guest;
  const over = Promise.withResolvers<Error | null>();
  const queue = new ChunkQueue(frames, clock);
  let header: SnapshotHeader | null = null;
  /** Bytes of the snapshot that are here; null before the sender was told where to begin. */
  let received: number | null = null;

  const begin = (payload: Uint8Array): void => {
    if (header !== null) throw new OpenClawError("MALFORMED_FRAME", "a second snapshot header");
    header = decodeSnapshotHeader(payload);
    queue.hold();
    if (header.from !== node) throw new OpenClawError("MALFORMED_FRAME", `${node} sends a snapshot of ${header.from}`);
    const from = (offset: number): AsyncIterable<Uint8Array> => {
      received = offset;
      frames.send(OFFSET, encode([offset]));
      queue.expect();
      return queue;
    };
    stage(header, from).then(
      () => {
        frames.send(ANSWER, handshake.welcome());
        frames.close();
      },
      (error: unknown) => {
        const why =
          error instanceof OpenClawError
            ? error
            : new OpenClawError("INTERNAL", asError(error).message, { cause: error });
        frames.send(ANSWER, handshake.refusal(why));
        frames.close(why);
      },
    );
  };
  const take = (payload: Uint8Array): void => {
    if (header === null || received === null) throw new OpenClawError("MALFORMED_FRAME", "a chunk nobody asked for");
    received += payload.length;
    if (received > header.bytes) throw new OpenClawError("MALFORMED_FRAME", "more than the header said");
    queue.push(payload);
  };
  const end = (): void => {
    if (header === null || received !== header.bytes)
      throw new OpenClawError("MALFORMED_FRAME", "less than the header said");
    queue.end();
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
      queue.fail(reason ?? new OpenClawError("UNAVAILABLE", `${node} left in the middle of a snapshot`));
      over.resolve(reason);
    },
    lastWord: (error) => concatBytes([ANSWER, handshake.refusal(error)]),
  });
  return over.promise;
}

function decodeOffset(payload: Uint8Array, bytes: number): number {
  const fields = new TupleReader(decode(payload), "snapshot offset");
  const offset = fields.count();
  fields.end();
  if (offset > bytes) throw new OpenClawError("MALFORMED_FRAME", "a snapshot goes on within its bytes");
  return offset;
}
