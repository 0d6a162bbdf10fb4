/**
 * Whether a stored ledger is the one that was written: every record is hashed again and chained to the one before (L2),
 * and the first revision that is wrong is named, with what is wrong about it.
 */
import { equalBytes } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import { PARTITION, type Revision, revision } from "../ids.ts";
import type { Sha256, StoredRecord } from "../ports.ts";
import { chainHash, leafHash } from "./chain.ts";
import type { LedgerFault, LedgerFaultKind } from "./fault.ts";
import { decodeRecord } from "./record-codec.ts";

/** A revision and its hash: where a ledger, or what is kept of it, begins or ends. */
export interface LedgerMark {
  readonly revision: Revision;
  readonly hash: Uint8Array;
}

/** What the record after a revision is chained to, given the hash there: another one where an epoch departed (lineage.ts). */
export type Seams = (at: Revision, hash: Uint8Array) => Uint8Array;

/** A record with the hash that it should have. */
interface Doubtful {
  readonly stored: StoredRecord;
  readonly hash: Uint8Array;
}

/** Takes records in order; stops at the first fault. */
export class LedgerCheck {
  /** The first revision that is looked at. */
  readonly from: Revision;
  readonly #sha256: Sha256;
  readonly #seams: Seams;
  #sound: LedgerMark;
  /** Its record and its hash disagree: what comes next tells which of them is wrong. */
  #doubtful: Doubtful | null = null;

  /** @param base what the first record follows */
  constructor(sha256: Sha256, base: LedgerMark, seams: Seams) {
    this.#sha256 = sha256;
    this.#seams = seams;
    this.#sound = base;
    this.from = revision(base.revision + 1);
  }

  /** The last revision that was found to be right. */
  get sound(): LedgerMark {
    return this.#sound;
  }

  /** Some more is needed to name the fault that was met: the record after it, or `end`. */
  get doubts(): boolean {
    return this.#doubtful !== null;
  }

  take(stored: StoredRecord): LedgerFault | null {
    const doubtful = this.#doubtful;
    if (doubtful !== null) return this.#settled(doubtful, stored);
    const next = revision(this.#sound.revision + 1);
    if (stored.revision !== next) return fault(next, "order", `revision ${stored.revision} stands in its place`);
    const hash = this.#chained(this.#sound.hash, stored);
    if (!equalBytes(hash, stored.hash)) {
      this.#doubtful = { stored, hash };
      return null;
    }
    const unreadable = unreadableAs(stored);
    if (unreadable !== null) return fault(next, "unreadable", unreadable);
    this.#sound = { revision: next, hash };
    return null;
  }

  /** There is no further record; `position` is where the state says that the ledger ends. */
  end(position: LedgerMark): LedgerFault | null {
    if (this.#doubtful !== null) {
      const { stored, hash } = this.#doubtful;
      if (position.revision === stored.revision && equalBytes(position.hash, stored.hash)) return wrongRecord(stored);
      return position.revision === stored.revision && equalBytes(position.hash, hash)
        ? wrongHash(stored)
        : undecided(stored);
    }
    const { revision: last, hash } = this.#sound;
    if (position.revision > last) return fault(revision(last + 1), "order", `the ledger ends at revision ${last}`);
    if (position.revision < last)
      return fault(last, "position", `the state ends at revision ${position.revision}, the ledger at ${last}`);
    if (!equalBytes(position.hash, hash)) return fault(last, "position", "the state's row has another hash");
    return null;
  }

  /** The record after the doubtful one was chained to its hash as it was when both were written. */
  #settled({ stored, hash }: Doubtful, after: StoredRecord): LedgerFault {
    if (after.revision === stored.revision + 1) {
      if (equalBytes(this.#chained(stored.hash, after), after.hash)) return wrongRecord(stored);
      if (equalBytes(this.#chained(hash, after), after.hash)) return wrongHash(stored);
    }
    return undecided(stored);
  }

  #chained(previous: Uint8Array, { revision: at, record }: StoredRecord): Uint8Array {
    const before = this.#seams(revision(at - 1), previous);
    return chainHash(this.#sha256, before, PARTITION, at, leafHash(this.#sha256, record));
  }
}

const fault = (at: Revision, kind: LedgerFaultKind, details: string): LedgerFault => ({ revision: at, kind, details });

const wrongRecord = ({ revision: at, record }: StoredRecord): LedgerFault =>
  fault(at, "record", `its ${record.length} bytes do not hash to what the next one is chained to`);
const wrongHash = ({ revision: at }: StoredRecord): LedgerFault =>
  fault(at, "hash", "the stored hash is not that of the record");
const undecided = ({ revision: at }: StoredRecord): LedgerFault =>
  fault(at, "chain", "the record does not hash to the stored hash, and what follows agrees with neither");

/** A record that hashes right and cannot be read was written wrong. */
function unreadableAs({ revision: at, record }: StoredRecord): string | null {
  try {
    const named = decodeRecord(record).revision;
    return named === at ? null : `the record says that it is revision ${named}`;
  } catch (error) {
    if (error instanceof OpenClawError) return error.details;
    throw error;
  }
}
