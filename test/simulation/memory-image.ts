/** What a MemoryStateStore holds, as one value and as bytes. */
import { decode, type Encodable, encode, TupleReader } from "@openclaw/core/codec.ts";
import { type ClusterId, type Epoch, type Index, index, revision, type Term, term } from "@openclaw/core/ids.ts";
import type { LedgerMark } from "@openclaw/core/ledger/verify.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { Membership } from "@openclaw/core/raft/membership.ts";
import { decodeMembership, encodeMembership } from "@openclaw/core/raft/membership-codec.ts";
import type { SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { initialWrites } from "@openclaw/core/state-machine/position.ts";
import type { Row } from "@openclaw/core/state-machine/view.ts";
import { MemoryView } from "./memory-view.ts";
import { sha256 } from "./sha256.ts";

export interface MemoryStateOptions {
  readonly cluster: ClusterId;
  readonly epoch: Epoch;
  readonly membership: Membership;
}

/** Everything that moves together: what a copy of the disk holds. */
export interface Image {
  readonly applied: Index;
  readonly appliedTerm: Term;
  readonly membership: Membership;
  readonly rows: readonly Row[];
  /** The history index: derived from the ledger, and as far as it has come. */
  readonly history: readonly Row[];
  readonly ledger: readonly StoredRecord[];
  /** What the ledger's first record follows; null: the beginning. */
  readonly base: LedgerMark | null;
  /** The index of the snapshot that it was installed from; 0: none. Of this disk: no snapshot carries it. */
  readonly installed: Index;
}

export const metaOf = ({ applied, appliedTerm, membership }: Image): SnapshotMeta => ({
  index: applied,
  term: appliedTerm,
  membership,
});

export const encodeImage = (image: Image): Uint8Array =>
  encode([
    image.applied,
    image.appliedTerm,
    encodeMembership(image.membership),
    image.rows.map(rowTuple),
    image.history.map(rowTuple),
    image.ledger.map((stored) => [stored.revision, stored.record, stored.hash]),
    image.base === null ? null : [image.base.revision, image.base.hash],
  ]);

const rowTuple = ({ key, value }: Row): Encodable => [key, value];

function readRow(value: Encodable): Row {
  const row = new TupleReader(value, "row");
  return { key: row.bytes(), value: row.bytes() };
}

export function decodeImage(bytes: Uint8Array): Image {
  const reader = new TupleReader(decode(bytes), "memory image");
  return {
    applied: index(reader.count()),
    appliedTerm: term(reader.count()),
    membership: decodeMembership(reader.bytes()),
    rows: reader.list().map(readRow),
    history: reader.list().map(readRow),
    ledger: reader.list().map((value) => {
      const stored = new TupleReader(value, "stored record");
      return { revision: revision(stored.count()), record: stored.bytes(), hash: stored.bytes() };
    }),
    base: reader.orNull((field) => {
      const base = new TupleReader(field.any(), "ledger base");
      return { revision: revision(base.count()), hash: base.bytes() };
    }),
    installed: index(0),
  };
}

/** Of a disk that is new. */
export function emptyImage({ cluster, epoch, membership }: MemoryStateOptions): Image {
  const view = new MemoryView();
  view.write(initialWrites(cluster, epoch, sha256));
  const nothing = { applied: index(0), appliedTerm: term(0), history: [], ledger: [], base: null, installed: index(0) };
  return { ...nothing, membership, rows: view.rows() };
}
