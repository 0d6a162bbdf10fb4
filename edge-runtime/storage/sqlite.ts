/** How we open SQLite, and what its errors mean to us. Used inside the storage workers only. */
import { accessSync, constants } from "node:fs";
import { type ErrorCode, InvariantViolation, OpenClawError } from "@openclaw/core/errors.ts";
import Database from "better-sqlite3";

export type Connection = Database.Database;

/** SQLite before this can corrupt a database when the WAL is reset (pitfall 29). */
const SQLITE_VERSION_MIN: readonly [number, number, number] = [3, 51, 3];

export interface ConnectionOptions {
  /** FULL fsyncs the WAL at every commit (R4); NORMAL only before a checkpoint (R6). */
  readonly synchronous: "FULL" | "NORMAL";
  /** Pages of 4 KiB in the WAL at which a commit also checkpoints: what bounds the WAL. */
  readonly walPagesMax: number;
  /** Bytes of pages that are kept in memory, besides those that a transaction has changed; SQLite's 2 MB by default. */
  readonly cacheBytes?: number;
}

/**
 * Opens a database for this process alone: EXCLUSIVE locking holds a POSIX lock until the process ends, however it ends,
 * and keeps the WAL index on the heap (no -shm file).
 * @throws OpenClawError DATA_IN_USE, DATA_CORRUPT, SQLITE_TOO_OLD, STORAGE_FULL, STORAGE_FAILED
 */
export function openExclusive(path: string, options: ConnectionOptions): Connection {
  const connection = connect(path);
  try {
    requireVersion(connection);
    connection.pragma("locking_mode = EXCLUSIVE");
    const mode = connection.pragma("journal_mode = WAL", { simple: true });
    if (mode !== "wal")
      throw new OpenClawError("STORAGE_FAILED", `the file system does not allow a WAL beside ${path}`);
    connection.pragma(`synchronous = ${options.synchronous}`);
    connection.pragma(`wal_autocheckpoint = ${options.walPagesMax}`);
    connection.pragma(`journal_size_limit = ${options.walPagesMax * 4_096 * 2}`);
    if (options.cacheBytes !== undefined) connection.pragma(`cache_size = -${Math.floor(options.cacheBytes / 1_024)}`);
    connection.pragma("cell_size_check = ON");
    connection.pragma("mmap_size = 0");
    // The lock is taken by the first access, not by the pragma.
    connection.exec("BEGIN IMMEDIATE; COMMIT");
    // What recovery found may stand in the page cache only: its process was killed before its fsync, or the fsync failed
    // and left the pages marked clean (pitfall 26). Copied into the database and fsynced there, it can be relied on.
    checkpoint(connection);
    return connection;
  } catch (error) {
    connection.close();
    throw openingError(error, path);
  }
}

/**
 * Moves the whole WAL into the database file and fsyncs that; both must be complete for anything to rely on it (R7).
 * @throws OpenClawError STORAGE_FAILED
 */
export function checkpoint(connection: Connection): void {
  const [result] = connection.pragma("wal_checkpoint(TRUNCATE)") as readonly {
    readonly busy: number;
    readonly log: number;
    readonly checkpointed: number;
  }[];
  if (result === undefined || result.busy !== 0 || result.log !== result.checkpointed) {
    throw new OpenClawError("STORAGE_FAILED", `a checkpoint stayed incomplete: ${JSON.stringify(result)}`);
  }
}

/** Opens a database to look at it; nothing is created or written. @throws OpenClawError DATA_CORRUPT */
export function openToRead(path: string): Connection {
  try {
    return new Database(path, { readonly: true, fileMustExist: true, timeout: 0 });
  } catch (error) {
    throw openingError(error, path);
  }
}

/**
 * Opens a copy of a database that nobody else uses, and takes it out of WAL mode, so that it is whole without side files.
 * Not durable. @throws OpenClawError as `openExclusive`
 */
export function openCopy(path: string): Connection {
  const connection = connect(path);
  try {
    connection.pragma("synchronous = OFF");
    connection.pragma("journal_mode = DELETE");
    return connection;
  } catch (error) {
    connection.close();
    throw openingError(error, path);
  }
}

function connect(path: string): Connection {
  try {
    return new Database(path, { timeout: 0 });
  } catch (error) {
    throw openingError(error, path);
  }
}

function requireVersion(connection: Connection): void {
  const version = connection.prepare<[], string>("SELECT sqlite_version()").pluck().get() ?? "0";
  const parts = version.split(".").map(Number);
  for (const [i, least] of SQLITE_VERSION_MIN.entries()) {
    const part = parts[i] ?? 0;
    if (part > least) return;
    if (part < least) throw new OpenClawError("SQLITE_TOO_OLD", `found ${version}`);
  }
}

/** The code of an SQLite or a system error. */
function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** What an error means while a database is opened, when nothing of ours is asked of it that a sound one could refuse. */
export function openingError(error: unknown, path: string): Error {
  const code = codeOf(error);
  const rewritten = (meaning: ErrorCode): OpenClawError => {
    const details = `opening ${path}: ${error instanceof Error ? error.message : String(error)}`;
    return new OpenClawError(meaning, details, { cause: error });
  };
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) return rewritten("DATA_IN_USE");
  // A rotten header reads as another file format, or as one that may only be read; a rotten schema as missing tables.
  if (code === "SQLITE_ERROR") return rewritten("DATA_CORRUPT");
  if (code.startsWith("SQLITE_READONLY") && isWritable(path)) return rewritten("DATA_CORRUPT");
  return storageError(error, `opening ${path}`);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** What an error of the disk, of SQLite or of our own means to the caller. @param doing for the error text */
export function storageError(error: unknown, doing: string): Error {
  if (error instanceof OpenClawError || error instanceof InvariantViolation) return error;
  const code = codeOf(error);
  const details = `${doing}: ${error instanceof Error ? error.message : String(error)}${code === "" ? "" : ` [${code}]`}`;
  if (code === "SQLITE_FULL" || code === "ENOSPC" || code === "EDQUOT") {
    return new OpenClawError("STORAGE_FULL", details, { cause: error });
  }
  if (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB") {
    return new OpenClawError("DATA_CORRUPT", details, { cause: error });
  }
  return new OpenClawError("STORAGE_FAILED", details, { cause: error });
}

/** Runs a read of stored bytes; bytes that do not decode are rot, whatever the decoder calls it. @throws OpenClawError DATA_CORRUPT */
export function orCorrupt<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "MALFORMED_FRAME") {
      throw new OpenClawError("DATA_CORRUPT", `${what}: ${error.details}`, { cause: error });
    }
    throw error;
  }
}
