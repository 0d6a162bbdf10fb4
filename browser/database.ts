/**
 * One connection to IndexedDB that stays usable: reopened when the browser closes it (pitfall 41), let go when a newer
 * version of the app wants to upgrade (pitfall 42), and with every failure told as CLIENT_STORAGE_FAILED.
 */

import { OpenClawError } from "@openclaw/core/errors.ts";
import { openDB } from "idb";
import { type ClientDatabase, type ClientSchema, createSchema, SCHEMA_VERSION } from "./schema.ts";

export class Database {
  readonly name: string;
  #opening: Promise<ClientDatabase> | undefined;
  #closed = false;

  constructor(name: string) {
    this.name = name;
  }

  /**
   * Runs one operation. It is repeated once if the browser closed the connection under it, so it must be harmless to
   * repeat. @throws OpenClawError CLIENT_STORAGE_FAILED
   */
  async run<T>(operation: (database: ClientDatabase) => Promise<T>): Promise<T> {
    const connection = this.#connection();
    try {
      return await operation(await connection);
    } catch (error) {
      if (this.#closed || (this.#opening === connection && !isLostConnection(error))) throw storageFailed(error);
    }
    // The connection was lost, not the write refused.
    if (this.#opening === connection) this.#opening = undefined;
    try {
      return await operation(await this.#connection());
    } catch (error) {
      throw storageFailed(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const opening = this.#opening;
    this.#opening = undefined;
    // A database that never opened needs no closing; its callers were told.
    if (opening !== undefined) (await opening.catch(() => undefined))?.close();
  }

  #connection(): Promise<ClientDatabase> {
    if (this.#closed) return Promise.reject(new OpenClawError("CLIENT_STORAGE_FAILED", "the store is closed"));
    this.#opening ??= this.#open();
    return this.#opening;
  }

  #open(): Promise<ClientDatabase> {
    const forget = (): void => {
      if (this.#opening === opening) this.#opening = undefined;
    };
    const opening = new Promise<ClientDatabase>((resolve, reject) => {
      let connection: ClientDatabase | undefined;
      openDB<ClientSchema>(this.name, SCHEMA_VERSION, {
        upgrade: (database) => createSchema(database),
        blocked: () =>
          reject(new OpenClawError("CLIENT_STORAGE_FAILED", "another tab runs an older version; close it and reload")),
        // A newer version wants in. Whoever writes next here is told to reload, by the VersionError of the next open.
        blocking: () => {
          forget();
          connection?.close();
        },
        terminated: forget,
      }).then((database) => {
        connection = database;
        resolve(database);
      }, reject);
    });
    opening.catch(forget);
    return opening;
  }
}

/** What browsers report when they closed the connection: InvalidStateError at use, AbortError in flight, UnknownError in Safari. */
const isLostConnection = (error: unknown): boolean =>
  error instanceof Error && (error.name === "InvalidStateError" || error.name === "UnknownError");

function storageFailed(error: unknown): OpenClawError {
  if (error instanceof OpenClawError) return error;
  const name = error instanceof Error ? error.name : "";
  const details =
    name === "QuotaExceededError"
      ? "no space left for this site on this device"
      : name === "VersionError"
        ? "a newer version of this app has run on this device; reload the page"
        : error instanceof Error
          ? `${error.name}: ${error.message}`
          : String(error);
  return new OpenClawError("CLIENT_STORAGE_FAILED", details, { cause: error });
}
