/**
 * What it does here when a link goes over to another life of its cluster (L3): first told, then done. The same for a child
 * that an operator decides on and for a parent.
 */
import { OpenClawError } from "../errors.ts";
import type { Lineage } from "../ids.ts";
import { type ClusterId, linkOfCluster, type Revision, revision } from "../ids.ts";
import { epochsOf, partingOf } from "../ledger/lineage.ts";
import type { Held } from "../ledger/lives.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";
import type { Contender } from "../state-machine/life.ts";
import type { LinkState } from "../state-machine/query.ts";
import { type DifferenceSource, type Differences, differencesAbove } from "./differences.ts";

export type Propose = (command: SystemCommand) => Promise<CommandResult>;

export interface LifeChange {
  readonly cluster: ClusterId;
  /** The life that is followed, and what was taken of it. */
  readonly from: Held & { readonly linked: boolean };
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
): Promise<(Held & { readonly linked: boolean }) | null> {
  const { link } = await source.read({ kind: "link", link: linkOfCluster(cluster) });
  return heldBy(source, link, cluster, claimed);
}

/** The same by a link that was read: whoever goes on with its cursor takes both of one moment. */
export async function heldBy(
  source: Pick<DifferenceSource, "read">,
  link: LinkState | null,
  cluster: ClusterId,
  claimed: Lineage,
): Promise<(Held & { readonly linked: boolean }) | null> {
  if (link !== null && link.epoch !== null)
    return { epoch: link.epoch, ancestors: link.ancestors, cursor: revision(link.cursor), linked: true };
  const { marks } = await source.read({ kind: "marks", origin: cluster });
  const [some] = marks;
  if (some === undefined) return null;
  const epochs = epochsOf(claimed);
  const known = epochs.findLastIndex(({ nonce }) => marks.some((mark) => mark.epoch === nonce));
  const epoch = epochs[known];
  const mark = marks.find((one) => one.epoch === epoch?.nonce);
  if (epoch === undefined || mark === undefined) {
    const stranger = { counter: claimed.epoch.counter, nonce: some.epoch, parent: null, departure: revision(0) };
    return { epoch: stranger, ancestors: [], cursor: some.revision, linked: false };
  }
  return { epoch, ancestors: claimed.ancestors.slice(0, known), cursor: mark.revision, linked: false };
}

export async function planChange(
  source: DifferenceSource,
  cluster: ClusterId,
  from: LifeChange["from"],
  to: Lineage,
): Promise<LifeChange> {
  const parted = partingOf(from, to);
  const parting = parted === null || parted === "same" ? revision(0) : parted.revision;
  return { cluster, from, to, parting, taken: await differencesAbove(source, cluster, from, parting) };
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
      from: from.linked ? from.epoch.nonce : null,
      cursor: from.cursor,
      parting,
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
  cluster: ClusterId,
  choice: string | null,
): Promise<Resolution> {
  const { contenders } = await source.read({ kind: "lives", link: linkOfCluster(cluster) });
  const chosen = contenders.filter(({ epoch }) => choice === null || epoch.nonce.startsWith(choice));
  const [to] = chosen;
  const from = to === undefined ? null : await heldOf(source, cluster, to);
  if (to === undefined || from === null)
    throw new OpenClawError(
      "NOT_FOUND",
      `no ${choice === null ? "other life" : `life ${choice}`} of ${cluster} was refused here`,
    );
  if (chosen.length > 1)
    throw new OpenClawError(
      "BAD_REQUEST",
      `name the epoch to go on with: ${chosen.map(({ epoch }) => epoch.nonce).join(", ")}`,
    );
  return { ...(await planChange(source, cluster, from, to)), to };
}
