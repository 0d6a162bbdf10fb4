/**
 * The epochs of one ledger (L3). A cluster that was restored or rescued at revision R has the ledger of the epoch before up
 * to R, each revision with the hash that it had, and its own from there on. What its first own revision is chained to
 * binds the two:
 *
 *   hash(R + 1) = H(0x02, H(0x02, genesis of the new epoch, partition, R, hash(R)), partition, R + 1, leaf(R + 1))
 *
 * So a revision has one hash, whoever holds it, and whoever knows hash(R) can follow the new epoch without being told anything.
 */
import { invariant } from "../errors.ts";
import { type ClusterId, type Epoch, type Lineage, type Partition, type Revision, revision } from "../ids.ts";
import { ANCESTORS_MAX } from "../limits.ts";
import type { Sha256 } from "../ports.ts";
import { chainHash, genesisHash } from "./chain.ts";

/** What one epoch wrote of a ledger: the revisions above `after`, up to `to`; null: to its end. */
export interface Span {
  readonly epoch: Epoch;
  readonly after: Revision;
  readonly to: Revision | null;
}

/** Oldest first. */
export const epochsOf = ({ ancestors, epoch }: Lineage): readonly Epoch[] => [
  ...ancestors.map((ancestor) => ancestor.epoch),
  epoch,
];

/** The spans of a ledger, in the order of its revisions. An epoch that a later one left behind altogether has none. */
export function spansOf(lineage: Lineage): readonly Span[] {
  const spans: Span[] = [];
  let to: Revision | null = null;
  for (const epoch of epochsOf(lineage).toReversed()) {
    if (to !== null && epoch.departure >= to) continue;
    spans.push({ epoch, after: epoch.departure, to });
    to = epoch.departure;
  }
  return spans.reverse();
}

/** The span that holds a revision; null for one that is older than what is remembered. */
export const spanAt = (lineage: Lineage, at: number): Span | null =>
  spansOf(lineage).find(({ after, to }) => after < at && (to === null || at <= to)) ?? null;

/** True if that ledger holds a revision of that epoch there, or would, if it went so far. */
export const isOf = (
  lineage: Lineage,
  { epoch, revision: at }: { readonly epoch: string; readonly revision: Revision },
): boolean =>
  spansOf(lineage).some((span) => span.epoch.nonce === epoch && span.after < at && (span.to === null || at <= span.to));

/** How much of this ledger somebody knows who knows one of its cluster's up to a revision of that epoch. */
export function knownOf(
  lineage: Lineage,
  { epoch, revision: at }: { readonly epoch: string; readonly revision: Revision },
): Revision {
  const epochs = epochsOf(lineage);
  const index = epochs.findIndex(({ nonce }) => nonce === epoch);
  return index < 0 ? revision(0) : revision(Math.min(at, ...epochs.slice(index + 1).map(({ departure }) => departure)));
}

/** The lineage of a ledger that departs from this one, which has `hash` there. */
export function departed({ epoch: before, ancestors }: Lineage, epoch: Epoch, hash: Uint8Array): Lineage {
  invariant(before.nonce === epoch.parent && epoch.counter > before.counter, "an epoch departs from the one before");
  return { epoch, ancestors: [...ancestors, { epoch: before, hash }].slice(-ANCESTORS_MAX) };
}

/** Where two ledgers of one cluster part. */
export interface Parting {
  /** The last revision that both have, and its hash. */
  readonly revision: Revision;
  readonly hash: Uint8Array;
}

/**
 * Where two ledgers part, by what their epochs say; "same" where the present epoch is one; null where they have no epoch
 * in common.
 */
export function partingOf(a: Lineage, b: Lineage): Parting | "same" | null {
  const others = epochsOf(b);
  for (const [i, { nonce }] of [...epochsOf(a).entries()].reverse()) {
    const j = others.findIndex((epoch) => epoch.nonce === nonce);
    if (j < 0) continue;
    const after = [...departuresAfter(a, i), ...departuresAfter(b, j)];
    return (
      after.reduce<Parting | null>(
        (least, one) => (least === null || one.revision < least.revision ? one : least),
        null,
      ) ?? "same"
    );
  }
  return null;
}

/** Where the epochs behind the one at `index` departed. */
function departuresAfter(lineage: Lineage, index: number): readonly Parting[] {
  const epochs = epochsOf(lineage);
  return lineage.ancestors.slice(index).map(({ hash }, k) => {
    const next = epochs[index + k + 1];
    invariant(next !== undefined, "behind an ancestor there is an epoch");
    return { revision: next.departure, hash };
  });
}

/**
 * What the revision after `at` is chained to, in a ledger of `epoch` that has `hash` there: that hash, unless the epoch
 * departed there.
 */
export const chainedTo = (
  sha256: Sha256,
  cluster: ClusterId,
  partition: Partition,
  { nonce, parent, departure }: Epoch,
  at: Revision,
  hash: Uint8Array,
): Uint8Array =>
  parent !== null && at === departure
    ? chainHash(sha256, genesisHash(sha256, cluster, partition, nonce), partition, at, hash)
    : hash;

/** The same for a ledger of several epochs. */
export function seamsOf(
  sha256: Sha256,
  cluster: ClusterId,
  partition: Partition,
  lineage: Lineage,
): (at: Revision, hash: Uint8Array) => Uint8Array {
  const departures = new Map(spansOf(lineage).map(({ epoch, after }) => [after, epoch]));
  return (at, hash) => {
    const epoch = departures.get(at);
    return epoch === undefined ? hash : chainedTo(sha256, cluster, partition, epoch, at, hash);
  };
}

/** The hash that a ledger begins with: that of revision 0, of the first of its epochs. */
export const beginningOf = (sha256: Sha256, cluster: ClusterId, partition: Partition, lineage: Lineage): Uint8Array =>
  genesisHash(sha256, cluster, partition, (lineage.ancestors[0]?.epoch ?? lineage.epoch).nonce);
