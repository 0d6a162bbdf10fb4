/**
 * One process a folder (DATA_IN_USE). Node cannot lock a file; SQLite can: an exclusive transaction on an empty database
 * holds a POSIX lock until the process ends, however it ends, and writes nothing.
 */
import Database from "better-sqlite3";
import { openingError } from "./sqlite.ts";

/** Returns what gives the lock up. @throws OpenClawError DATA_IN_USE, STORAGE_FAILED */
export function lockFolder(path: string): () => void {
  let connection: Database.Database | null = null;
  try {
    const lock = new Database(path, { timeout: 0 });
    connection = lock;
    lock.exec("BEGIN EXCLUSIVE");
    return () => void lock.close();
  } catch (error) {
    connection?.close();
    throw openingError(error, path);
  }
}
