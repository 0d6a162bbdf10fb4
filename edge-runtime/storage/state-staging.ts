/**
 * The snapshot that a leader is sending us. What came of it outlives a broken connection and this process: the file and,
 * beside it, what it shall become. The bytes need no fsync for that: whole pieces are checked again after a start.
 */
import { closeSync, fsync, ftruncateSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { equalBytes } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { SnapshotContent, SnapshotHeader } from "@openclaw/core/ports.ts";
import { encodeSnapshotMeta } from "@openclaw/core/raft/entry-codec.ts";
import type { SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { decodeSnapshotContent, encodeSnapshotContent } from "@openclaw/core/replica/snapshot-codec.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import { requireIdentity } from "@openclaw/core/store-identity.ts";
import { sha256 } from "./sha256.ts";
import { announced, PieceHash, soundBytes } from "./snapshot-pieces.ts";
import { openToRead, storageError } from "./sqlite.ts";
import { stateIdentity } from "./state-file.ts";
import { INCOMING_CONTENT, INCOMING_FILE } from "./state-install.ts";
import { StateTables } from "./state-tables.ts";
import { readIdentity } from "./store-identity.ts";

const fsyncLater = promisify(fsync);

interface Receiving {
  readonly stage: number;
  readonly header: SnapshotHeader;
  readonly fd: number;
  readonly piece: PieceHash;
  /** Bytes in the file; those up to `sound` are whole pieces that were checked. */
  bytes: number;
  sound: number;
}

/** At most one snapshot comes in or waits: a later one replaces it. */
export class IncomingSnapshot {
  readonly #path: string;
  readonly #contentPath: string;
  readonly #cluster: string;
  /** What the file is a part of; null when there is none. */
  #content: SnapshotContent | null;
  /** Checked bytes of the file; null after a start, when they have to be read first. */
  #sound: number | null = null;
  #receiving: Receiving | null = null;
  #staged: SnapshotMeta | null = null;
  #stages = 0;

  /** Finds what an earlier process had of a snapshot. */
  constructor(folder: string, cluster: string) {
    this.#path = join(folder, INCOMING_FILE);
    this.#contentPath = join(folder, INCOMING_CONTENT);
    this.#cluster = cluster;
    this.#content = readContent(this.#contentPath);
    if (this.#content === null) this.discard();
  }

  /** Resolves with the number that the chunks carry, and the bytes that are here already. @throws OpenClawError MALFORMED_FRAME */
  async begin(header: SnapshotHeader): Promise<{ readonly stage: number; readonly held: number }> {
    this.#pause();
    this.#staged = null;
    const stage = ++this.#stages;
    if (!equalBytes(sha256(header.pieces), header.hash)) throw refusal("its hash is not that of its pieces");
    if (this.#content === null || !equalBytes(this.#content.hash, header.hash)) this.#start(header);
    const held = this.#sound ?? (await soundBytes(this.#path, header.pieces));
    if (stage !== this.#stages) throw replaced();
    const fd = openSync(this.#path, held === 0 ? "w" : "r+", 0o600);
    ftruncateSync(fd, held);
    this.#sound = held;
    this.#receiving = { stage, header, fd, piece: new PieceHash(), bytes: held, sound: held };
    return { stage, held };
  }

  /** @throws OpenClawError UNAVAILABLE when a later snapshot replaced this one, MALFORMED_FRAME when a piece is not what was announced */
  add(stage: number, chunk: Uint8Array): void {
    const receiving = this.#current(stage);
    for (let from = 0; from < chunk.length; ) {
      const part = chunk.subarray(from, from + receiving.piece.room);
      from += part.length;
      receiving.piece.add(part);
      writeWhole(receiving.fd, part, receiving.bytes);
      receiving.bytes += part.length;
      if (receiving.bytes > receiving.header.bytes) throw refusal("more bytes than announced");
      if (receiving.piece.room > 0 && receiving.bytes < receiving.header.bytes) continue;
      if (!equalBytes(receiving.piece.take(), announced(receiving.header.pieces, receiving.sound)))
        throw refusal(`the piece at byte ${receiving.sound} is not what was announced`);
      receiving.sound = receiving.bytes;
    }
  }

  /** Makes what came durable and keeps it for `install`. @throws OpenClawError MALFORMED_FRAME */
  async end(stage: number): Promise<void> {
    const { header, fd, sound } = this.#current(stage);
    if (sound !== header.bytes) throw refusal(`${sound} bytes instead of ${header.bytes}`);
    try {
      await fsyncLater(fd);
    } catch (error) {
      // The pages may be marked clean all the same: the next fsync would not tell (pitfall 26).
      if (this.#receiving?.stage === stage) this.discard();
      throw error;
    }
    this.#current(stage);
    this.#pause();
    try {
      this.#requireContent(header);
    } catch (error) {
      // It is what was sent, and no snapshot for us: there is nothing to go on with.
      this.discard();
      const known = storageError(error, "reading the snapshot");
      throw refusal(known instanceof OpenClawError ? `${known.code} ${known.details}` : known.message);
    }
    this.#staged = header.meta;
  }

  /** A stage that broke off: what was checked stays for the next try. One that was replaced is gone already. */
  abort(stage: number): void {
    if (this.#receiving?.stage === stage) this.#pause();
  }

  /** Gives the staged file away to `install`. @throws OpenClawError NOT_FOUND */
  take(meta: SnapshotMeta): void {
    if (this.#staged === null || !isSameMeta(this.#staged, meta)) {
      throw new OpenClawError("NOT_FOUND", `no snapshot of index ${meta.index}, term ${meta.term} is staged`);
    }
    this.#forget();
  }

  /** The state has come this far without it: a part of an older snapshot is of no use any more. */
  passed(applied: number): void {
    if (this.#content !== null && this.#receiving === null && this.#content.meta.index <= applied) this.discard();
  }

  discard(): void {
    this.#forget();
    rmSync(this.#path, { force: true });
  }

  /** Lets go of the file; it stays. */
  close(): void {
    this.#stages++;
    this.#pause();
  }

  #start(header: SnapshotHeader): void {
    this.discard();
    writeFileSync(this.#contentPath, encodeSnapshotContent(header), { mode: 0o600 });
    this.#content = header;
    this.#sound = 0;
  }

  #pause(): void {
    if (this.#receiving === null) return;
    this.#sound = this.#receiving.sound;
    closeSync(this.#receiving.fd);
    this.#receiving = null;
  }

  #forget(): void {
    this.#pause();
    this.#content = null;
    this.#sound = null;
    this.#staged = null;
    rmSync(this.#contentPath, { force: true });
  }

  #current(stage: number): Receiving {
    if (this.#receiving?.stage !== stage) throw replaced();
    return this.#receiving;
  }

  /** The hash says that it is what the sender sent; this says that it is what the header promised. */
  #requireContent(header: SnapshotHeader): void {
    const connection = openToRead(this.#path);
    try {
      const identity = readIdentity(connection);
      if (identity === null) throw new OpenClawError("MALFORMED_FRAME", "snapshot: it holds no state");
      requireIdentity(identity, stateIdentity(this.#cluster));
      const tables = new StateTables(connection);
      const { epoch } = query(tables.state, { kind: "position" }, sha256);
      const same =
        isSameMeta(tables.applied().meta, header.meta) &&
        epoch.counter === header.epoch.counter &&
        epoch.nonce === header.epoch.nonce;
      if (!same)
        throw new OpenClawError(
          "MALFORMED_FRAME",
          "snapshot: it is not of the index, term, membership or epoch announced",
        );
    } finally {
      connection.close();
    }
  }
}

/** Null where there is none, or one that a crash left half-written. */
function readContent(path: string): SnapshotContent | null {
  try {
    return decodeSnapshotContent(readFileSync(path));
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "MALFORMED_FRAME") return null;
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}

const isSameMeta = (a: SnapshotMeta, b: SnapshotMeta): boolean =>
  equalBytes(encodeSnapshotMeta(a), encodeSnapshotMeta(b));

const replaced = (): OpenClawError => new OpenClawError("UNAVAILABLE", "a later snapshot replaced this one");
const refusal = (details: string): OpenClawError => new OpenClawError("MALFORMED_FRAME", `snapshot: ${details}`);
