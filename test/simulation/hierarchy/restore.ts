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
import { chainHash, genesisHash, leafHash } from "@openclaw/core/ledger/chain.ts";
import type { Sha256, StoredRecord } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { replay } from "@openclaw/core/state-machine/replay.ts";
import { restoredWrites } from "@openclaw/core/state-machine/restored.ts";
import { type MemberDisks, nodesOf } from "../memory-cluster.ts";
import type { Image } from "../memory-image.ts";
import { MemoryStateStore } from "../memory-state-store.ts";
import { MemoryView } from "../memory-view.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { SimulatedLogStore } from "../simulated-log-store.ts";
import type { Beginning } from "./life.ts";

const sha256: Sha256 = (bytes) => digest("sha256", bytes, "buffer");

/** As a restored node has it: edge-runtime/storage/state-restore.ts. */
const RESTORED_AT = { index: index(1), term: term(1) } as const;
const SALT_BYTES = 16;

export interface RestorePlan {
  readonly cluster: string;
  /** Of the life that is backed up. */
  readonly from: Epoch;
  /** All of it, or more. */
  readonly ledger: readonly StoredRecord[];
  /** The last revision that the backup has. */
  readonly at: number;
  readonly size: number;
}

/** An epoch that nobody drew before. */
export const epochFrom = (from: Epoch, at: number, random: SeededRandom): Epoch => ({
  counter: from.counter + 1,
  nonce: nonceOf(random),
  parent: from.nonce,
  departure: revision(at),
});

export const nonceOf = (random: SeededRandom): string => Buffer.from(random.bytes(16)).toString("hex");

export async function restored(plan: RestorePlan, random: SeededRandom): Promise<Beginning> {
  const epoch = epochFrom(plan.from, plan.at, random);
  const cluster = clusterOf(plan.cluster);
  const ledger = chainedAnew(cluster, epoch, plan.ledger.slice(0, plan.at));
  const members = nodesOf(plan.size);
  const view = new MemoryView();
  view.write(replay(view, ledger));
  const salt = random.bytes(SALT_BYTES);
  view.write(
    restoredWrites(view, {
      ...{ cluster, epoch, revision: revision(plan.at), applyVersion: 1, compacted: revision(0) },
      hash: ledger.at(-1)?.hash ?? genesisHash(sha256, cluster, PARTITION, epoch.nonce),
      lease: () => ({ ttlMs: 1_000, wallDue: 0, salt }),
    }),
  );
  const membership = founding(members);
  const image: Image = {
    ...{ applied: RESTORED_AT.index, appliedTerm: RESTORED_AT.term, membership },
    ...{ rows: view.rows(), history: [], ledger, base: null },
  };
  const logs = new Map<NodeId, SimulatedLogStore>();
  for (const node of members) logs.set(node, await restoredLog(cluster, node));
  const disks = (id: NodeId): MemberDisks => {
    const log = logs.get(id);
    if (log === undefined) throw new Error(`nothing was restored for ${id}`);
    return { log, state: new MemoryStateStore({ cluster, epoch, membership }, image) };
  };
  return { epoch, ledger, disks };
}

/** A log that knows of a term and ends where the state does: one without would be taken for lost (R5). */
async function restoredLog(cluster: ClusterId, node: NodeId): Promise<SimulatedLogStore> {
  const log = new SimulatedLogStore({ cluster, node });
  await log.open();
  await log.reset(RESTORED_AT);
  await log.append({ term: RESTORED_AT.term, vote: null, commit: RESTORED_AT.index }, []);
  return log.copy();
}

function chainedAnew(cluster: ClusterId, epoch: Epoch, records: readonly StoredRecord[]): readonly StoredRecord[] {
  let hash = genesisHash(sha256, cluster, PARTITION, epoch.nonce);
  return records.map(({ revision: at, record }) => {
    hash = chainHash(sha256, hash, PARTITION, at, leafHash(sha256, record));
    return { revision: at, record, hash };
  });
}

export function clusterOf(name: string): ClusterId {
  if (!isClusterId(name)) throw new Error(name);
  return name;
}
