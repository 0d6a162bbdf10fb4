/**
 * The layout of a client's database, and how an older one becomes it. IndexedDB costs by the put, not by the byte
 * (DESIGN §6), so that whatever one call writes of one kind is one packed row.
 */

import { toHex } from "@openclaw/core/bytes.ts";
import type {
  Awaiting,
  DownCursor,
  FailedRow,
  MirrorRow,
  OutboxRow,
  QuarantinedRow,
} from "@openclaw/core/client/store.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import type { DBSchema, IDBPDatabase, IDBPTransaction } from "idb";

/** Tells rows of one kind apart: drawn per open database, then counted. No two tabs write the same one. */
export type BatchName = [instance: string, count: number];

export interface ClientSchema extends DBSchema {
  /** Per link, the next sequence number never used. Outlives the outbox rows. */
  links: { key: string; value: number };
  /** Rows of one write. The key's number is the last row's when it was written, and stays so when some are answered. */
  outbox: { key: [link: string, last: number]; value: readonly OutboxRow[] };
  /** Changes of one write to one document. In no order: readers sort by dependency and drop repetitions. */
  changes: { key: [collection: string, document: string, ...name: BatchName]; value: readonly DocumentChange[] };
  /** Edits answered together; the key starts with the highest and the lowest of their revisions. */
  awaiting: { key: [highest: number, lowest: number, ...name: BatchName]; value: readonly Awaiting[] };
  /** Under numbers that the database draws: the order in which they failed. */
  failed: { key: number; value: FailedRow };
  quarantined: { key: [collection: string, document: string, hash: string]; value: QuarantinedRow };
  /** The origin is "" for the parent's own keys. */
  mirror: { key: [origin: string, key: ArrayBuffer]; value: MirrorRow };
  /** The one row "down". */
  cursors: { key: string; value: DownCursor };
  /**
   * "database": drawn when it was created, so that another one in its place is known for another one. "drops": drawn
   * when changes were dropped last, so that other tabs forget that those are stored. "takenUp": how many rows of a database
   * that stood in its place were taken up from second copies; none while nobody has looked. "takenFrom": keys of those copies.
   */
  identity: { key: string; value: string };
}

export type ClientDatabase = IDBPDatabase<ClientSchema>;
export type StoreName =
  | "links"
  | "outbox"
  | "changes"
  | "awaiting"
  | "failed"
  | "quarantined"
  | "mirror"
  | "cursors"
  | "identity";
/** One transaction of a write. */
export type Step = IDBPTransaction<ClientSchema, StoreName[], "readwrite">;

/** One version's change of the layout, within the transaction of the upgrade: all of it or nothing. Awaits nothing but its requests. */
export type UpgradeStep = (
  database: ClientDatabase,
  upgrade: IDBPTransaction<ClientSchema, StoreName[], "versionchange">,
) => void | Promise<void>;

/** The step in place n leads from version n to n + 1; 0 is an empty database. A step that was released never changes. */
export const UPGRADES: readonly UpgradeStep[] = [
  (database) => {
    for (const name of ["links", "outbox", "changes", "awaiting", "mirror", "cursors"] as const) {
      database.createObjectStore(name);
    }
    database.createObjectStore("failed", { autoIncrement: true });
  },
  async (database) => {
    database.createObjectStore("quarantined");
    const identity = toHex(crypto.getRandomValues(new Uint8Array(16)));
    await database.createObjectStore("identity").put(identity, "database");
  },
];

/** The steps that an older database needs, at most once. */
export function upgradeFrom(steps: readonly UpgradeStep[]) {
  const upgrade = {
    /** Why a step failed; the whole upgrade is taken back then. */
    failure: null as unknown,
    async run(
      database: ClientDatabase,
      from: number,
      transaction: IDBPTransaction<ClientSchema, StoreName[], "versionchange">,
    ): Promise<void> {
      // Told by the opening of the database, which fails with it.
      transaction.done.catch(() => undefined);
      try {
        for (const step of steps.slice(from)) await step(database, transaction);
      } catch (error) {
        upgrade.failure = error;
        transaction.abort();
      }
    },
  };
  return upgrade;
}
