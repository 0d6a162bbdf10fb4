/** What `openclaw restore` makes, in memory: disks with the content of one revision, under an epoch that departed there (L3). */
import { hash as digest } from "node:crypto";
import {
  type ClusterId,
  type Epoch,
  index,
  isClusterId,
  type NodeId,
  PARTITION,
  revision,
  term,
} from "@openclaw/core/ids.ts";
import { beginningOf, departed, type Lineage } from "@openclaw/core/ledger/lineage.ts";
import type { Sha256, StoredRecord } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { departedImage } from "../departed-image.ts";
import { type MemberDisks, nodesOf } from "../memory-cluster.ts";
import { MemoryStateStore } from "../memory-state-store.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { SimulatedLogStore } from "../simulated-log-store.ts";
import type { Beginning } from "./life.ts";

const sha256: Sha256 = (bytes) => digest("sha256", bytes, "buffer");

/** As a restored node has it: edge-runtime/storage/state-restore.ts. */
const RESTORED_AT = { index: index(1), term: term(1) } as const;

export interface RestorePlan {
  readonly cluster: string;
  /** Of the life that is backed up. */
  readonly from: Lineage;
  /** All of it, or more. */
  readonly ledger: readonly StoredRecord[];
  /** The last revision that the backup has. */
  readonly at: number;
  readonly size: number;
}

export const nonceOf = (random: SeededRandom): string => Buffer.from(random.bytes(16)).toString("hex");

export async function restored(plan: RestorePlan, random: SeededRandom): Promise<Beginning> {
  const { from, at } = plan;
  const epoch: Epoch = {
    counter: from.epoch.counter + 1,
    nonce: nonceOf(random),
    parent: from.epoch.nonce,
    departure: revision(at),
  };
  const cluster = clusterOf(plan.cluster);
  const ledger = plan.ledger.slice(0, at);
  const members = nodesOf(plan.size);
  const beginning = beginningOf(sha256, cluster, PARTITION, from);
  const image = departedImage(cluster, from, epoch, ledger, beginning, members, RESTORED_AT.index);
  const logs = new Map<NodeId, SimulatedLogStore>();
  for (const node of members) logs.set(node, await restoredLog(cluster, node));
  const disks = (id: NodeId): MemberDisks => {
    const log = logs.get(id);
    if (log === undefined) throw new Error(`nothing was restored for ${id}`);
    return { log, state: new MemoryStateStore({ cluster, epoch, membership: founding(members) }, image) };
  };
  return { lineage: departed(from, epoch, ledger.at(-1)?.hash ?? beginning), ledger, disks };
}

/** A log that knows of a term and ends where the state does: one without would be taken for lost (R5). */
async function restoredLog(cluster: ClusterId, node: NodeId): Promise<SimulatedLogStore> {
  const log = new SimulatedLogStore({ cluster, node });
  await log.open();
  await log.reset(RESTORED_AT);
  await log.append({ term: RESTORED_AT.term, vote: null, commit: RESTORED_AT.index }, []);
  return log.copy();
}

export function clusterOf(name: string): ClusterId {
  if (!isClusterId(name)) throw new Error(name);
  return name;
}
