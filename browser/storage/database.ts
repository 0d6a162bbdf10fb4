/**
 * One connection to IndexedDB that stays usable: reopened when the browser closes it (pitfall 41), let go when a newer
 * version of the app wants to upgrade (pitfall 42), never taken for another database in its place (pitfall 43), and with
 * every failure told by its code.
 */

import { OpenClawError } from "@openclaw/core/errors.ts";
import { openDB } from "idb";
import { type ClientDatabase, type ClientSchema, UPGRADES, type UpgradeStep, upgradeFrom } from "./schema.ts";
import { storageFailure } from "./storage-failure.ts";

/** A tab of an older version lets go as soon as what it is writing is written. One that has not by then will not, ms. */
const BLOCKED_MS_MAX = 3_000;

interface Opening {
  readonly database: Promise<ClientDatabase>;
  /** Rejects when an older version stands in the way for too long. It may get out of it later. */
  readonly blocked: Promise<never>;
}

export interface DatabaseOptions {
  readonly upgrades?: readonly UpgradeStep[];
  /** Before the first operation: the database was opened, and is that of this session from then on. */
  readonly opened?: (database: ClientDatabase) => Promise<void>;
  /** Another, empty database stands in the place of the one that this opened: what can still be saved goes into it. */
  readonly replaced?: (database: ClientDatabase) => Promise<void>;
}

export class Database {
  readonly name: string;
  readonly #upgrades: readonly UpgradeStep[];
  readonly #opened: (database: ClientDatabase) => Promise<void>;
  readonly #replaced: (database: ClientDatabase) => Promise<void>;
  #opening: Opening | undefined;
  #closed = false;
  /** Of the database that was opened first. */
  #identity: string | null = null;
  /** It is gone; nothing may be written into another one as if it were this. */
  #lost: OpenClawError | null = null;

  constructor(name: string, { upgrades = UPGRADES, opened = nothing, replaced = nothing }: DatabaseOptions = {}) {
    this.name = name;
    this.#upgrades = upgrades;
    this.#opened = opened;
    this.#replaced = replaced;
  }

  /**
   * Runs one operation. It is repeated once if the browser closed the connection under it, so it must be harmless to
   * repeat. @throws OpenClawError CLIENT_STORAGE_FAILED, CLIENT_STORAGE_LOST
   */
  async run<T>(operation: (database: ClientDatabase) => Promise<T>): Promise<T> {
    const opening = this.#open();
    try {
      return await operation(await connected(opening));
    } catch (error) {
      if (this.#closed || (this.#opening === opening && !isLostConnection(error))) throw storageFailure(error);
    }
    // The connection was lost, not the write refused.
    if (this.#opening === opening) this.#opening = undefined;
    try {
      return await operation(await connected(this.#open()));
    } catch (error) {
      throw storageFailure(error);
    }
  }

  /** Drawn when it was created. @throws OpenClawError as `run` */
  identity(): Promise<string> {
    return this.run(identityOf);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const opening = this.#opening;
    this.#opening = undefined;
    if (opening === undefined) return;
    // A database that never opened needs no closing; its callers were told.
    const closed = opening.database.then(
      (database) => database.close(),
      () => undefined,
    );
    await Promise.race([closed, opening.blocked.catch(() => undefined)]);
  }

  #open(): Opening {
    this.#opening ??= this.#begin();
    return this.#opening;
  }

  #begin(): Opening {
    const { promise: blocked, reject: block } = Promise.withResolvers<never>();
    blocked.catch(() => undefined);
    const opening: Opening = { database: this.#connect(block, () => forget()), blocked };
    const forget = (): void => {
      if (this.#opening === opening) this.#opening = undefined;
    };
    opening.database.catch(forget);
    return opening;
  }

  async #connect(block: (error: OpenClawError) => void, forget: () => void): Promise<ClientDatabase> {
    if (this.#closed) throw new OpenClawError("CLIENT_STORAGE_FAILED", "the store is closed");
    if (this.#lost !== null) throw this.#lost;
    let late: ReturnType<typeof setTimeout> | undefined;
    const upgrade = upgradeFrom(this.#upgrades);
    let connection: ClientDatabase | undefined;
    try {
      connection = await openDB<ClientSchema>(this.name, this.#upgrades.length, {
        upgrade: (database, from, _to, transaction) => upgrade.run(database, from, transaction),
        blocked: () => {
          late = setTimeout(() => block(blockedByOlder()), BLOCKED_MS_MAX);
        },
        // A newer version wants in. Whoever writes next here is told to reload, by the VersionError of the next open.
        blocking: () => {
          forget();
          connection?.close();
        },
        terminated: forget,
      });
    } catch (error) {
      // Why a step failed, rather than that the upgrade was aborted.
      throw upgrade.failure ?? error;
    } finally {
      clearTimeout(late);
    }
    await this.#recognise(connection);
    return connection;
  }

  /** @throws OpenClawError CLIENT_STORAGE_LOST: it is not the one that was opened before */
  async #recognise(connection: ClientDatabase): Promise<void> {
    const identity = await identityOf(connection);
    if (this.#identity === null) await this.#opened(connection);
    this.#identity ??= identity;
    if (identity === this.#identity) return;
    this.#lost ??= new OpenClawError("CLIENT_STORAGE_LOST", "it was cleared while this page was open");
    try {
      await this.#replaced(connection);
    } finally {
      connection.close();
    }
    throw this.#lost;
  }
}

/** @throws OpenClawError CLIENT_STORAGE_FAILED while an older version stands in the way */
const connected = ({ database, blocked }: Opening): Promise<ClientDatabase> => Promise.race([database, blocked]);

export async function identityOf(database: ClientDatabase): Promise<string> {
  const identity = await database.get("identity", "database");
  if (identity === undefined) throw new OpenClawError("CLIENT_STORAGE_FAILED", "a database without its identity");
  return identity;
}

const nothing = async (): Promise<void> => {};

const blockedByOlder = (): OpenClawError =>
  new OpenClawError("CLIENT_STORAGE_FAILED", "another tab runs an older version of this app; close it, or reload it");

/** What browsers report when they closed the connection: InvalidStateError at use, AbortError in flight, UnknownError in Safari. */
const isLostConnection = (error: unknown): boolean =>
  error instanceof Error && (error.name === "InvalidStateError" || error.name === "UnknownError");
