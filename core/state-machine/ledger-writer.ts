/** Where the ledger stands: takes revisions, each a record chained to the one before (rules L1, L2), and log time (T1). */
import { invariant } from "../errors.ts";
import type { Revision } from "../ids.ts";
import { PARTITION, revision } from "../ids.ts";
import { chainHash, leafHash } from "../ledger/chain.ts";
import { chainedTo } from "../ledger/lineage.ts";
import type { Home, Imported, LedgerEvent, RecordForm, Replaced } from "../ledger/record.ts";
import { encodeRecord } from "../ledger/record-codec.ts";
import type { Sha256, StoredRecord } from "../ports.ts";
import { POSITION_KEY } from "./keyspace.ts";
import type { PositionRow } from "./position.ts";
import { positionRow } from "./position.ts";
import type { Transaction } from "./transaction.ts";

/** Whose a revision is. */
export interface Author {
  readonly principal: string;
  readonly time: number;
  /** Gives the revision its salt: 16 bytes. */
  readonly salt: (at: Revision) => Uint8Array;
}

export class LedgerWriter {
  readonly records: StoredRecord[] = [];
  readonly #tx: Transaction;
  readonly #sha256: Sha256;
  #position: PositionRow;
  #moved = false;

  constructor(tx: Transaction, sha256: Sha256) {
    const position = tx.read(POSITION_KEY, positionRow);
    invariant(position !== undefined, "a state has a position");
    this.#tx = tx;
    this.#sha256 = sha256;
    this.#position = position;
  }

  get position(): PositionRow {
    return this.#position;
  }

  /** The revision that the next record takes. */
  get next(): Revision {
    return revision(this.#position.revision + 1);
  }

  /** An entry is applied: its stamp is added. */
  stamp(ms: number): void {
    if (ms === 0) return;
    const logTime = this.#position.logTime + ms;
    invariant(Number.isSafeInteger(logTime), "log time is a number of ms");
    this.#move({ logTime });
  }

  /** From the next entry on (R9). */
  raise(applyVersion: number): void {
    this.#move({ applyVersion });
  }

  /** Earlier revisions are told no more. */
  compact(compacted: Revision): void {
    this.#move({ compacted });
  }

  /** No lease is due before that; null: there is none. */
  dueAt(nextDue: number | null): void {
    this.#move({ nextDue });
  }

  append({ principal, time, salt }: Author, events: readonly LedgerEvent[], home: Home): Revision {
    invariant(events.length > 0, "a revision changes something");
    const at = this.next;
    return this.#add({
      partition: PARTITION,
      revision: at,
      salt: salt(at),
      home,
      origin: null,
      link: null,
      time,
      principal,
      events,
    });
  }

  /** A body of which something took effect here. */
  import(body: Imported, home: Home, salt: Author["salt"]): Revision {
    const at = this.next;
    return this.#add({ partition: PARTITION, revision: at, salt: salt(at), home, ...body });
  }

  /** What became of a mirror by no record of its sender: how a snapshot differed (S4), or what stood where two lives part (L3). */
  replace(
    { principal, time, salt }: Author,
    from: Pick<Replaced, "origin" | "link">,
    events: readonly LedgerEvent[],
    home: Home,
  ): Revision {
    invariant(events.length > 0, "a revision changes something");
    const at = this.next;
    const head = { partition: PARTITION, revision: at, salt: salt(at), home };
    return this.#add({ ...head, ...from, body: null, time, principal, events });
  }

  #add(form: RecordForm): Revision {
    const at = form.revision;
    const record = encodeRecord(form);
    const { cluster, epoch, revision: last, hash: lastHash } = this.#position;
    const previous = chainedTo(this.#sha256, cluster, PARTITION, epoch, last, lastHash);
    const hash = chainHash(this.#sha256, previous, PARTITION, at, leafHash(this.#sha256, record));
    this.records.push({ revision: at, record, hash });
    this.#move({ revision: at, hash });
    return at;
  }

  /** Writes where the ledger stands now: once a run, however often it moved. */
  close(): void {
    if (this.#moved) this.#tx.write(POSITION_KEY, positionRow, this.#position);
  }

  #move(to: Partial<PositionRow>): void {
    this.#position = { ...this.#position, ...to };
    this.#moved = true;
  }
}
