import { OpenClawError } from "@openclaw/core/errors.ts";
import { isClusterId } from "@openclaw/core/ids.ts";
import { isKeyEvent, type KeyEvent, type LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { KeySelector } from "@openclaw/core/state-machine/operation.ts";
import { selects } from "@openclaw/core/state-machine/operation.ts";
import type { ApiPrincipal } from "./deps.ts";

/** What is left out: etcd's filters. */
export const WATCH_FILTERS = ["noput", "nodelete"] as const;
export type WatchFilter = (typeof WATCH_FILTERS)[number];

export interface Selection {
  readonly keys: KeySelector;
  /** Null: our own keys; "*": ours and every mirror. */
  readonly origin: string | null;
  readonly filters: readonly WatchFilter[];
  readonly principal: ApiPrincipal;
}

/** A record as watches need it: decoded once, however many of them it reaches. */
export interface WatchedRecord {
  readonly record: LedgerRecord;
  readonly keyEvents: readonly KeyEvent[];
}

/** A live record reaches every watch as one object. */
const records = new WeakMap<StoredRecord, WatchedRecord>();

export function watchedRecord(stored: StoredRecord): WatchedRecord {
  let watched = records.get(stored);
  if (watched === undefined) {
    const record = decodeRecord(stored.record);
    watched = { record, keyEvents: record.events.filter(isKeyEvent) };
    records.set(stored, watched);
  }
  return watched;
}

/** The events that are meant, whoever may see them: what a place within a revision is counted in. */
export function selectedEvents({ record, keyEvents }: WatchedRecord, selection: Selection): readonly KeyEvent[] {
  const { keys, origin, filters } = selection;
  if (keyEvents.length === 0) return [];
  if (origin !== "*" && (record.origin?.cluster ?? null) !== origin) return [];
  const [noPut, noDelete] = [filters.includes("noput"), filters.includes("nodelete")];
  return keyEvents.filter(({ kind, key }) => !(kind === "put" ? noPut : noDelete) && selects(keys, key));
}

/** @throws OpenClawError BAD_REQUEST */
export function watchedOrigin(text: string | undefined): string | null {
  if (text === undefined || text === "") return null;
  if (text !== "*" && !isClusterId(text)) throw new OpenClawError("BAD_REQUEST", "origin is a cluster's name or *");
  return text;
}
