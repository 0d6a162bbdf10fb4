/** What was under a key before an event, for the watches that ask for it (etcd's prev_kv). */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { HistoryQuery } from "@openclaw/core/history/history-query.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { KeyEvent, LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { type KeyValue, rowBytes } from "@openclaw/core/state-machine/operation.ts";
import type { ReplicaDoor } from "./deps.ts";
import { valueAsText } from "./key-text.ts";

/**
 * Reads of the past under way for all watches of a node, which leaves most of those that a node takes to others. What
 * waits here is bounded by the streams: each asks for one at a time.
 */
const READS_MAX = 8;
/** Bytes of rows before the events of one revision; the events from there on come without. */
const ROWS_BYTES_MAX = 8 * 1_048_576;

/** What there is to say of the row before an event: nothing, where it is compacted (as in etcd), or too much. */
export interface Before {
  readonly previous?: ReturnType<typeof rowJson> | null;
}

export class PreviousRows {
  readonly #replica: Pick<ReplicaDoor, "history">;
  readonly #waiting: (() => void)[] = [];
  #reading = 0;

  constructor(replica: Pick<ReplicaDoor, "history">) {
    this.#replica = replica;
  }

  /** Of each event of a record, in order. @throws OpenClawError UNAVAILABLE, OVERLOADED, STOPPED */
  async before({ origin, revision: at }: LedgerRecord, events: readonly KeyEvent[]): Promise<readonly Before[]> {
    const all: Before[] = [];
    let bytes = 0;
    for (const { key } of events) {
      const get = { kind: "get", origin: origin?.cluster ?? null, key, at: revision(at - 1) } as const;
      const row = at === 1 ? null : bytes >= ROWS_BYTES_MAX ? undefined : await this.#read(get);
      bytes += row ? rowBytes(row) : 0;
      all.push(row === undefined ? {} : { previous: row === null ? null : rowJson(row) });
    }
    return all;
  }

  async #read(get: Extract<HistoryQuery, { kind: "get" }>): Promise<KeyValue | null | undefined> {
    while (this.#reading >= READS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#reading++;
    try {
      return (await this.#replica.history(get)).row;
    } catch (error) {
      if (error instanceof OpenClawError && error.code === "COMPACTED") return undefined;
      throw error;
    } finally {
      this.#reading--;
      this.#waiting.shift()?.();
    }
  }
}

const rowJson = ({ value, createRevision, modRevision, version, lease }: KeyValue) => ({
  ...valueAsText(value),
  createRevision,
  modRevision,
  version,
  lease,
});
