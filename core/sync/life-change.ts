/**
 * What it does here when a link goes over to another life of its cluster (L3): first told, then done. The same for a child
 * that an operator decides on and for a parent.
 */
import { OpenClawError } from "../errors.ts";
import type { Lineage } from "../ids.ts";
import { type ClusterId, linkOfCluster, type Revision, revision } from "../ids.ts";
import { epochsOf, isOf, partingOf } from "../ledger/lineage.ts";
import type { Held } from "../ledger/lives.ts";
import type { Witness } from "../ledger/witness.ts";
import type { Sha256 } from "../ports.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";
import type { Contender } from "../state-machine/life.ts";
import type { LinkState, OriginMark } from "../state-machine/query.ts";
import { type DifferenceSource, type Differences, differencesAbove } from "./differences.ts";

export type Propose = (command: SystemCommand) => Promise<CommandResult>;

/** What is followed of a cluster, and how far it was taken, whichever link brought it. */
export interface Followed extends Held {
  /** The cursor of its own link: less, where that began anew behind a restore; null where no link tells. */
  readonly linkedAt: Revision | null;
}

export interface LifeChange {
  readonly cluster: ClusterId;
  /** The life that is followed, and what was taken of it. */
  readonly from: Followed;
  readonly to: Lineage;
  /** The last revision that both have. */
  readonly parting: Revision;
  /** What was taken above it: it is put aside. */
  readonly taken: Differences;
}

/**
 * What is followed of a cluster that says it is `claimed`; null when nothing was taken of it. After a restore no link may
 * tell, but the revisions that were taken do: by the marks of their epochs (L4).
 */
export async function heldOf(
  source: Pick<DifferenceSource, "read">,
  cluster: ClusterId,
  claimed: Lineage,
): Promise<Followed | null> {
  const { link } = await source.read({ kind: "link", link: linkOfCluster(cluster) });
  return heldBy(source, link, cluster, claimed);
}

/** The same by a link that was read: whoever goes on with its cursor takes both of one moment. */
export async function heldBy(
  source: Pick<DifferenceSource, "read">,
  link: LinkState | null,
  cluster: ClusterId,
  claimed: Lineage,
): Promise<Followed | null> {
  const { marks } = await source.read({ kind: "marks", origin: cluster });
  if (link !== null && link.epoch !== null) {
    const { epoch, ancestors } = link;
    const lineage = { epoch, ancestors };
    const taken = marks.filter((mark) => isOf(lineage, mark)).map((mark) => mark.revision);
    return { ...lineage, cursor: revision(Math.max(link.cursor, ...taken)), linkedAt: revision(link.cursor) };
  }
  const [last] = marks;
  if (last === undefined) return null;
  const epochs = epochsOf(claimed);
  const known = epochs.findIndex(({ nonce }) => nonce === last.epoch);
  const epoch = epochs[known];
  if (epoch !== undefined)
    return { epoch, ancestors: claimed.ancestors.slice(0, known), cursor: last.revision, linkedAt: null };
  // Another life, or another cluster of that name; its ancestors are not known any more.
  const stranger = { counter: claimed.epoch.counter, nonce: last.epoch, parent: null, departure: revision(0) };
  return { epoch: stranger, ancestors: [], cursor: last.revision, linkedAt: null };
}

export const witnessesOf = (marks: readonly OriginMark[]): readonly Witness[] =>
  marks.flatMap(({ witness }) => (witness === null ? [] : [witness]));

export async function planChange(
  source: DifferenceSource,
  sha256: Sha256,
  cluster: ClusterId,
  from: LifeChange["from"],
  to: Lineage,
): Promise<LifeChange> {
  const parted = partingOf(from, to);
  const parting = parted === null || parted === "same" ? revision(0) : parted.revision;
  const taken = await differencesAbove(source, sha256, cluster, from, parting);
  const { marks } = await source.read({ kind: "marks", origin: cluster });
  // Nobody knows where two lives part of which one is known by its name alone: a snapshot of the other says what stands there.
  const isUnknown = parted === null && from.linkedAt === null && marks.length > 1;
  return { cluster, from, to, parting, taken: isUnknown ? { ...taken, changes: null } : taken };
}

/** @param holds of our ledger, where the cluster is our parent @throws OpenClawError WRONG_EPOCH: somebody else decided meanwhile; GAP: more was taken */
export async function carryOutChange(
  propose: Propose,
  { cluster, from, to, parting, taken }: LifeChange,
  holds: Revision | null,
): Promise<void> {
  requireTaken(
    await propose({
      kind: "settleEpoch",
      link: linkOfCluster(cluster),
      cluster,
      from: from.linkedAt === null ? null : from.epoch.nonce,
      cursor: from.linkedAt ?? from.cursor,
      parting,
      kept: taken.kept,
      lineage: { epoch: to.epoch, ancestors: to.ancestors },
      holds,
      changes: taken.changes,
    }),
  );
}

/** @throws OpenClawError what it was refused with */
export function requireTaken(result: CommandResult): void {
  if (result.kind === "importRefused") throw new OpenClawError(result.code, result.details);
}

/** A child's change, with the life that comes. */
export interface Resolution extends LifeChange {
  readonly to: Contender;
}

/**
 * What it does to follow another life of a child.
 * @param choice the beginning of the nonce of its epoch; null where there is only one
 * @throws OpenClawError NOT_FOUND: no other life was refused here; BAD_REQUEST: one has to be chosen
 */
export async function planResolution(
  source: DifferenceSource,
  sha256: Sha256,
  cluster: ClusterId,
  choice: string | null,
): Promise<Resolution> {
  const { contenders } = await source.read({ kind: "lives", link: linkOfCluster(cluster) });
  const chosen = contenders.filter(({ epoch }) => choice === null || epoch.nonce.startsWith(choice));
  const [to] = chosen;
  const from = to === undefined ? null : await heldOf(source, cluster, to);
  // A refusal that was on its way while another decided is noted behind it: that life is followed by now.
  const isFollowed = from !== null && from.linkedAt !== null && from.epoch.nonce === to?.epoch.nonce;
  if (to === undefined || from === null || isFollowed)
    throw new OpenClawError(
      "NOT_FOUND",
      `no ${choice === null ? "other life" : `life ${choice}`} of ${cluster} was refused here`,
    );
  if (chosen.length > 1)
    throw new OpenClawError(
      "BAD_REQUEST",
      `name the epoch to go on with: ${chosen.map(({ epoch }) => epoch.nonce).join(", ")}`,
    );
  return { ...(await planChange(source, sha256, cluster, from, to)), to };
}
