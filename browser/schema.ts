/**
 * The layout of a client's database, version 1. IndexedDB costs by the put, not by the byte (DESIGN §6), so that
 * whatever one call writes of one kind is one packed row.
 */

import type {
  Awaiting,
  DownCursor,
  FailedRow,
  MirrorRow,
  OutboxRow,
  QuarantinedRow,
} from "@openclaw/core/client/store.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import type { DBSchema, IDBPDatabase } from "idb";

export const SCHEMA_VERSION = 1;

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
}

export type ClientDatabase = IDBPDatabase<ClientSchema>;
export type StoreName = "links" | "outbox" | "changes" | "awaiting" | "failed" | "quarantined" | "mirror" | "cursors";

/** Creates version 1 in an empty database. Each later version gets its own step here. */
export function createSchema(database: ClientDatabase): void {
  for (const name of ["links", "outbox", "changes", "awaiting", "quarantined", "mirror", "cursors"] as const) {
    database.createObjectStore(name);
  }
  database.createObjectStore("failed", { autoIncrement: true });
}
