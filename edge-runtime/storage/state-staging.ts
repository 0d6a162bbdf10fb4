/** Snapshots on their way out and in: copies of the state for followers, and the one that a leader is sending us. */
import { createHash, type Hash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { SnapshotHeader } from "@openclaw/core/ports.ts";
import { encodeSnapshotMeta } from "@openclaw/core/raft/entry-codec.ts";
import type { SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import { requireIdentity } from "@openclaw/core/store-identity.ts";
import { sha256 } from "./sha256.ts";
import { openToRead, storageError } from "./sqlite.ts";
import { stateIdentity } from "./state-file.ts";
import { INCOMING_FILE } from "./state-install.ts";
import { StateTables } from "./state-tables.ts";
import { readIdentity } from "./store-identity.ts";

const READ_BYTES = 1_048_576;

/** SHA-256 and size of a file. */
export function hashFile(path: string): { readonly hash: Uint8Array; readonly bytes: number } {
  const hash = createHash("sha256");
  const piece = new Uint8Array(READ_BYTES);
  let bytes = 0;
  const fd = openSync(path, "r");
  try {
    for (let read = readSync(fd, piece); read > 0; read = readSync(fd, piece)) {
      hash.update(piece.subarray(0, read));
      bytes += read;
    }
  } finally {
    closeSync(fd);
  }
  return { hash: new Uint8Array(hash.digest()), bytes };
}

interface Receiving {
  readonly stage: number;
  readonly header: SnapshotHeader;
  readonly fd: number;
  readonly hash: Hash;
  bytes: number;
}

/** At most one snapshot comes in or waits: a later one replaces it. It does not outlive the process; the leader sends again. */
export class IncomingSnapshot {
  readonly #path: string;
  readonly #cluster: string;
  #receiving: Receiving | null = null;
  #staged: SnapshotMeta | null = null;
  #stages = 0;

  constructor(folder: string, cluster: string) {
    this.#path = join(folder, INCOMING_FILE);
    this.#cluster = cluster;
  }

  begin(header: SnapshotHeader): number {
    this.discard();
    const stage = ++this.#stages;
    const fd = openSync(this.#path, "w", 0o600);
    this.#receiving = { stage, header, fd, hash: createHash("sha256"), bytes: 0 };
    return stage;
  }

  /** @throws OpenClawError UNAVAILABLE when a later snapshot replaced this one, MALFORMED_FRAME when more comes than was announced */
  add(stage: number, chunk: Uint8Array): void {
    const receiving = this.#current(stage);
    receiving.bytes += chunk.length;
    if (receiving.bytes > receiving.header.bytes) throw this.#refused("more bytes than announced");
    receiving.hash.update(chunk);
    try {
      for (let at = 0; at < chunk.length; ) at += writeSync(receiving.fd, chunk, at);
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  /** Checks what came and keeps it for `install`. @throws OpenClawError MALFORMED_FRAME */
  end(stage: number): void {
    const { header, fd, hash, bytes } = this.#current(stage);
    if (bytes !== header.bytes) throw this.#refused(`${bytes} bytes instead of ${header.bytes}`);
    if (!equalBytes(hash.digest(), header.hash)) throw this.#refused("its hash is wrong");
    fsyncSync(fd);
    closeSync(fd);
    this.#receiving = null;
    try {
      this.#requireMeta(header);
    } catch (error) {
      const known = storageError(error, "reading the snapshot");
      throw this.#refused(known instanceof OpenClawError ? `${known.code} ${known.details}` : known.message);
    }
    this.#staged = header.meta;
  }

  /** Ends a stage that will not be completed; one that was replaced is gone already. */
  abort(stage: number): void {
    if (this.#receiving?.stage === stage) this.discard();
  }

  /** Gives the staged file away to `install`. @throws OpenClawError NOT_FOUND */
  take(meta: SnapshotMeta): void {
    if (this.#staged === null || !isSameMeta(this.#staged, meta)) {
      throw new OpenClawError("NOT_FOUND", `no snapshot of index ${meta.index}, term ${meta.term} is staged`);
    }
    this.#staged = null;
  }

  discard(): void {
    if (this.#receiving !== null) closeSync(this.#receiving.fd);
    this.#receiving = null;
    this.#staged = null;
    rmSync(this.#path, { force: true });
  }

  #current(stage: number): Receiving {
    if (this.#receiving?.stage !== stage) throw new OpenClawError("UNAVAILABLE", "a later snapshot replaced this one");
    return this.#receiving;
  }

  #refused(details: string): OpenClawError {
    this.discard();
    return new OpenClawError("MALFORMED_FRAME", `snapshot: ${details}`);
  }

  /** The hash says that it is what the sender sent; this says that it is what the header promised. */
  #requireMeta(header: SnapshotHeader): void {
    const connection = openToRead(this.#path);
    try {
      const identity = readIdentity(connection);
      if (identity === null) throw new OpenClawError("MALFORMED_FRAME", "snapshot: it holds no state");
      requireIdentity(identity, stateIdentity(this.#cluster));
      const tables = new StateTables(connection);
      const { epoch } = query(tables, { kind: "position" }, sha256);
      const same =
        isSameMeta(tables.applied(), header.meta) &&
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

const isSameMeta = (a: SnapshotMeta, b: SnapshotMeta): boolean =>
  equalBytes(encodeSnapshotMeta(a), encodeSnapshotMeta(b));
