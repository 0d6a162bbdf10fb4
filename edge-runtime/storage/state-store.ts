/** StateStore over SQLite: the main thread's side. Apply itself runs in the worker, inside the store's transaction (R6). */

import { equalBytes } from "@openclaw/core/bytes.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { HistoryAnswer, HistoryQuery } from "@openclaw/core/history/history-query.ts";
import type { ClusterId, Epoch, Index, NodeId, Revision } from "@openclaw/core/ids.ts";
import { SNAPSHOT_PIECE_BYTES } from "@openclaw/core/limits.ts";
import type {
  Applied,
  LedgerChecked,
  LedgerSlice,
  SnapshotChunks,
  SnapshotHeader,
  StateBase,
  StateSnapshot,
  StateStore,
  StoredRecord,
  StoredState,
} from "@openclaw/core/ports.ts";
import { encodeEntries } from "@openclaw/core/raft/entry-codec.ts";
import type { Membership } from "@openclaw/core/raft/membership.ts";
import type { Entry, SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { mapSelector } from "@openclaw/core/state-machine/operation-bytes.ts";
import type { Answer, Query, RowsHash } from "@openclaw/core/state-machine/query.ts";
import { BaseReader } from "./base-reader.ts";
import { unpackRecords } from "./record-batch.ts";
import { unpackResults } from "./result-batch.ts";
import { sha256 } from "./sha256.ts";
import { announced, readPieces } from "./snapshot-pieces.ts";
import { type SnapshotFile, STATE_CACHE_BYTES, type StateCalls } from "./state-protocol.ts";
import { WorkerChannel } from "./worker-channel.ts";

/** Bytes of a chunk of a snapshot. */
const CHUNK_BYTES = 262_144;
/**
 * Reads that wait for the worker; one more is refused OVERLOADED. Less than the channel takes: the rest of it is for the
 * replica's own calls, which are few at a time, and an apply that is refused stops the node.
 */
const READS_MAX = 4_000;

export interface SqliteStateOptions {
  /** Created if it is not there; this process alone uses it from `open` on. */
  readonly dataDir: string;
  readonly cluster: ClusterId;
  readonly node: NodeId;
  /** Those a new state starts with; an existing one keeps its own. */
  readonly epoch: Epoch;
  readonly membership: Membership;
  /** Of pages that SQLite keeps in memory; STATE_CACHE_BYTES by default. */
  readonly cacheBytes?: number;
}

export class SqliteStateStore implements StateStore {
  readonly #options: SqliteStateOptions;
  #channel: WorkerChannel<StateCalls> | null = null;
  #closing: Promise<void> | null = null;
  #reads = 0;
  /** That are read just now. */
  readonly #bases = new Set<BaseReader>();

  constructor(options: SqliteStateOptions) {
    this.#options = options;
  }

  /** Reads that are not answered yet, of 4,000. */
  get reads(): number {
    return this.#reads;
  }

  /** @throws OpenClawError DATA_CORRUPT, DATA_FOREIGN, DATA_IN_USE, DATA_NEWER, SQLITE_TOO_OLD, STORAGE_FAILED, STORAGE_FULL */
  async open(): Promise<StoredState> {
    invariant(this.#channel === null, "a state store is open once");
    const channel = new WorkerChannel<StateCalls>("state worker", new URL("./state-worker.ts", import.meta.url));
    this.#channel = channel;
    const { dataDir, cluster, node, epoch, membership, cacheBytes = STATE_CACHE_BYTES } = this.#options;
    try {
      return await channel.call("open", { folder: dataDir, cluster, node, epoch, membership, cacheBytes });
    } catch (error) {
      this.#channel = null;
      await channel.terminate();
      throw error;
    }
  }

  async apply(entries: readonly Entry[]): Promise<Applied> {
    const packed = encodeEntries(entries);
    const applied = await this.#open().call("apply", packed, {
      bytes: packed.length,
      transfer: [packed.buffer as ArrayBuffer],
    });
    const { index, position, results, records: batch } = applied;
    let records: readonly StoredRecord[] | null = null;
    return {
      index,
      position,
      results: unpackResults(results),
      // Many a batch nobody looks into: what is read of the ledger is read later, and from the disk.
      get records() {
        records ??= unpackRecords(batch);
        return records;
      },
    };
  }

  /** @throws OpenClawError OVERLOADED */
  read<Q extends Query>(query: Q): Promise<Answer<Q>> {
    // The answer to a question has the question's kind: query() in core is typed so.
    return this.#reading(async (channel) => (await channel.call("read", detached(query))) as Answer<Q>);
  }

  /** @throws OpenClawError OVERLOADED, REVISION_AHEAD, COMPACTED, BAD_REQUEST, UNAVAILABLE */
  history<Q extends HistoryQuery>(query: Q): Promise<HistoryAnswer<Q>> {
    return this.#reading(async (channel) => (await channel.call("history", detached(query))) as HistoryAnswer<Q>);
  }

  /** @throws OpenClawError OVERLOADED, COMPACTED */
  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice> {
    return this.#reading(async (channel) => {
      const slice = await channel.call("ledger", { from, maxBytes });
      return { records: slice.records.flatMap((batch) => unpackRecords(batch)), revision: slice.revision };
    });
  }

  /** @throws OpenClawError OVERLOADED, BAD_REQUEST */
  checkLedger(from: Revision, to: Revision | null, maxBytes: number): Promise<LedgerChecked> {
    return this.#reading((channel) => channel.call("checkLedger", { from, to, maxBytes }));
  }

  async #reading<T>(read: (channel: WorkerChannel<StateCalls>) => Promise<T>): Promise<T> {
    const channel = this.#open();
    if (this.#reads >= READS_MAX) throw new OpenClawError("OVERLOADED", `${READS_MAX} reads are waiting`);
    this.#reads++;
    try {
      return await read(channel);
    } finally {
      this.#reads--;
    }
  }

  compare(round: Index): Promise<RowsHash | null> {
    return this.#open().call("compare", round);
  }

  checkpoint(): Promise<StoredState> {
    return this.#open().call("checkpoint", null);
  }

  /** @throws OpenClawError OVERLOADED when two copies are in use already, UNAVAILABLE, STORAGE_FULL */
  async snapshot(atLeast: Index): Promise<StateSnapshot> {
    const channel = this.#open();
    const { path, ...content } = await channel.call("snapshot", atLeast);
    let disposed = false;
    return {
      ...content,
      chunks: (from) => chunksOf({ path, ...content }, from, () => this.#told(channel, "rottenSnapshot", path)),
      dispose: async () => {
        if (disposed) return;
        disposed = true;
        await this.#told(channel, "dropSnapshot", path);
      },
    };
  }

  /** @throws OpenClawError as `snapshot` */
  async base(atLeast: Index): Promise<StateBase> {
    const channel = this.#open();
    const { path, ...content } = await channel.call("snapshot", atLeast);
    const reader = new BaseReader({ path, ...content });
    this.#bases.add(reader);
    return {
      parts: () => reader.parts(() => this.#told(channel, "rottenSnapshot", path)),
      dispose: async () => {
        if (!this.#bases.delete(reader)) return;
        await reader.close();
        await this.#told(channel, "dropSnapshot", path);
      },
    };
  }

  /** What of the database's bytes is free for rows, and whether what was compacted is still being removed. */
  room(): Promise<StateCalls["room"]["answer"]> {
    return this.#open().call("room", null);
  }

  /** Removes the copies that nobody reads just now, and a wrong state that was kept aside. */
  async dropCopies(): Promise<void> {
    await this.#open().call("dropCopies", null);
  }

  /** @throws OpenClawError MALFORMED_FRAME (wrong hash, size, content or cluster), UNAVAILABLE (replaced by a later one), STORAGE_FULL */
  async stage(header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> {
    const channel = this.#open();
    const { stage, held } = await channel.call("stageBegin", header);
    try {
      for await (const piece of chunks(held)) {
        // A copy: the piece may be a view of a frame that somebody else still reads.
        const chunk = new Uint8Array(piece);
        // One at a time: the sender waits when our disk does.
        await channel.call("stageChunk", { stage, chunk }, { bytes: chunk.length, transfer: [chunk.buffer] });
      }
      await channel.call("stageEnd", stage);
    } catch (error) {
      // After `close` the worker has let go of it.
      if (this.#closing === null) await channel.call("stageAbort", stage);
      throw error;
    }
  }

  /** @throws OpenClawError NOT_FOUND when no snapshot with this meta is staged, as after a restart */
  install(meta: SnapshotMeta): Promise<StoredState> {
    return this.#open().call("install", meta);
  }

  /** @throws OpenClawError as `install` */
  replace(meta: SnapshotMeta, round: Index): Promise<StoredState> {
    return this.#open().call("replace", { meta, round });
  }

  /** Commits, checkpoints and closes. Repeating it is harmless. */
  close(): Promise<void> {
    this.#closing ??= this.#closed();
    return this.#closing;
  }

  async #closed(): Promise<void> {
    await Promise.all([...this.#bases].map((reader) => reader.close()));
    await this.#channel?.close();
  }

  /** After `close` the worker knows of no copy any more. */
  async #told(
    channel: WorkerChannel<StateCalls>,
    kind: "dropSnapshot" | "rottenSnapshot",
    path: string,
  ): Promise<void> {
    if (this.#closing === null) await channel.call(kind, path);
  }

  #open(): WorkerChannel<StateCalls> {
    if (this.#closing !== null) throw new OpenClawError("STOPPED", "the state is closed");
    invariant(this.#channel !== null, "the state store is opened before it is used");
    return this.#channel;
  }
}

/** The file is read off the main thread, by Node's own pool; a piece that rotted since it was hashed is not sent. */
async function* chunksOf(
  { path, bytes, pieces }: SnapshotFile,
  from: number,
  rotten: () => Promise<void>,
): AsyncIterable<Uint8Array> {
  let at = from - (from % SNAPSHOT_PIECE_BYTES);
  for await (const piece of readPieces(path, at)) {
    if (!equalBytes(sha256(piece), announced(pieces, at))) break;
    for (let sent = Math.max(0, from - at); sent < piece.length; sent += CHUNK_BYTES)
      yield piece.subarray(sent, sent + CHUNK_BYTES);
    at += piece.length;
  }
  if (at >= bytes) return;
  await rotten();
  throw new OpenClawError("UNAVAILABLE", `the copy of the state rotted on the disk at byte ${at}`);
}

/** Posting a view clones the whole buffer behind it, which may be a frame of megabytes. */
function detached<Q extends Query | HistoryQuery>(query: Q): Q {
  switch (query.kind) {
    case "get":
    case "versions":
      return { ...query, key: new Uint8Array(query.key) };
    case "range":
      return { ...query, keys: mapSelector(query.keys, (bytes) => new Uint8Array(bytes)) };
    default:
      return query;
  }
}
