/**
 * Revives a cluster that lost its majority, from the folder of a node that is left (S6): a new cluster of one node, under a
 * new epoch that departs from the most that is known. What the parent has above the survivor is taken first. The old members
 * are fenced by the epoch: who is still there stops when it meets it, and the parent refuses it.
 */
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { toHex } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type BaseRow, baseParts } from "@openclaw/core/history/base.ts";
import type { MirrorItem } from "@openclaw/core/history/history-query.ts";
import {
  type ClusterId,
  type Epoch,
  type LeaseId,
  type NodeId,
  PARTITION,
  type Revision,
  revision,
} from "@openclaw/core/ids.ts";
import type { GapReason } from "@openclaw/core/ledger/gap.ts";
import { beginningOf, departed } from "@openclaw/core/ledger/lineage.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { LEASES, LINKS, leaseOfRow, REGISTRY } from "@openclaw/core/state-machine/keyspace.ts";
import { leaseRow } from "@openclaw/core/state-machine/lease-rows.ts";
import { rowsOf } from "@openclaw/core/state-machine/row-pages.ts";
import { type MadeCluster, makeCluster, type NewCluster, restoredLeases } from "../backup/new-cluster.ts";
import { CONFIG_FILE } from "../init.ts";
import type { MirrorSource } from "../rebuild/mirror-source.ts";
import { sha256 } from "../storage/sha256.ts";
import { StateRestore } from "../storage/state-restore.ts";
import { keepConfig } from "./kept-config.ts";
import { copyAt, itemsAbove } from "./parent-copy.ts";
import { othersOf, type Survivor } from "./survivor.ts";

/** Bytes of records that are taken in one transaction. */
const BATCH_BYTES = 4_194_304;

export interface RescuePlan extends Omit<NewCluster, "cluster" | "epoch" | "tokens"> {
  readonly survivor: Survivor;
  /** The path of the survivor's configuration. */
  readonly survivorConfig: string;
  readonly source: MirrorSource | null;
  /** The members that are lost for good. Asked for where no parent can be. */
  readonly dead: readonly string[];
}

/** A revision that the parent has as it was written, or some that it has not. */
export type Above =
  | { readonly revision: Revision }
  | { readonly from: Revision; readonly to: Revision; readonly lacking: GapReason };

export interface RescuePlanned {
  readonly cluster: ClusterId;
  readonly from: Epoch;
  /** The new one, which departs from the last revision that survivor or parent has. */
  readonly epoch: Epoch;
  /** The members that are left behind. */
  readonly fenced: readonly NodeId[];
  readonly survivor: {
    readonly node: NodeId;
    readonly revision: number;
    /** Entries at the end of its log that were there once and are gone (R5). */
    readonly lost: number;
  };
  /** Null: the parent was not asked. */
  readonly parent: { readonly revision: number } | null;
  /** What the parent has and the survivor lacked: it is taken. Null where that is nothing. */
  readonly onlyAtParent: { readonly from: number; readonly to: number; readonly items: readonly Above[] } | null;
  /** What the survivor has and the parent lacks: it is shipped. Null where that is nothing, or not known. */
  readonly onlyAtSurvivor: { readonly from: number; readonly to: number } | null;
}

export interface Rescued extends RescuePlanned, MadeCluster {
  readonly contentHash: string;
}

/**
 * What a rescue would make.
 * @throws OpenClawError RESCUE_REFUSED where it would part from members that may go on, or from the parent's ledger; FORK;
 * NOT_FOUND, UNAVAILABLE of the parent
 */
export async function planRescue(plan: Asked): Promise<RescuePlanned> {
  return (await planned(plan)).what;
}

type Asked = Pick<RescuePlan, "survivor" | "source" | "dead">;

/** With what is to be taken of the parent, which is read and checked each time. */
async function planned({ survivor, source, dead }: Asked) {
  const { config, position, lost } = survivor;
  const fenced = othersOf(survivor);
  requireDead(survivor, fenced, dead, source === null);
  const copy = source === null ? null : await copyAt(source, survivor);
  const cursor = copy?.cursor ?? 0;
  const above = (): AsyncIterable<MirrorItem> =>
    source === null || copy === null || cursor <= position.revision ? none() : itemsAbove(source, survivor, copy);
  const items: Above[] = [];
  for await (const item of above())
    items.push(
      item.kind === "body" ? { revision: item.revision } : { from: item.from, to: item.to, lacking: item.reason },
    );
  const what: RescuePlanned = {
    cluster: config.cluster,
    from: position.epoch,
    epoch: {
      counter: position.epoch.counter + 1,
      nonce: randomBytes(16).toString("hex"),
      parent: position.epoch.nonce,
      departure: revision(Math.max(position.revision, cursor)),
    },
    fenced,
    survivor: { node: config.node, revision: position.revision, lost },
    parent: source === null ? null : { revision: cursor },
    onlyAtParent: cursor > position.revision ? { from: position.revision + 1, to: cursor, items } : null,
    onlyAtSurvivor: source !== null && position.revision > cursor ? { from: cursor + 1, to: position.revision } : null,
  };
  return { what, above };
}

/** @throws as `planRescue`, and RESTORE_REFUSED when the folder holds anything */
export async function rescueSite(plan: RescuePlan): Promise<Rescued> {
  const { survivor, survivorConfig } = plan;
  const { what, above } = await planned(plan);
  const { cluster, epoch } = what;
  const tokens = survivor.config.auth !== null;
  const made = await makeCluster({ ...plan, cluster, epoch, tokens }, async (data, node) => {
    // Before the folder gets its name: one without its parent and its limits is half a cluster.
    await keepConfig(survivorConfig, join(dirname(data), CONFIG_FILE));
    return makeState(survivor, what, above(), data, node);
  });
  return { ...what, ...made };
}

async function* none(): AsyncGenerator<MirrorItem> {}

/** @throws OpenClawError RESCUE_REFUSED */
function requireDead(
  { membership, config }: Survivor,
  others: readonly NodeId[],
  dead: readonly string[],
  offline: boolean,
): void {
  const unknown = dead.find((name) => !others.some((node) => node === name));
  if (unknown !== undefined)
    throw new OpenClawError(
      "RESCUE_REFUSED",
      `${unknown} is no other member of ${config.cluster}: they are ${others.join(", ") || "none"}`,
    );
  const unnamed = others.filter((node) => !dead.includes(node));
  if (offline && unnamed.length > 0)
    throw new OpenClawError(
      "RESCUE_REFUSED",
      `without the parent, name every other member as dead: ${unnamed.join(", ")}`,
    );
  const { voters } = membership;
  if (voters.length === 1 && voters[0] === config.node)
    throw new OpenClawError("RESCUE_REFUSED", `${config.node} is a majority by itself: start it`);
}

async function makeState(
  survivor: Survivor,
  { cluster, epoch }: RescuePlanned,
  above: AsyncIterable<MirrorItem>,
  data: string,
  node: NodeId,
) {
  const { position, past } = survivor;
  const state = new StateRestore(data, cluster, beginningOf(sha256, cluster, PARTITION, position));
  try {
    const ttls = new Map<LeaseId, number>();
    const first = position.compacted > 1 ? takeBase(survivor, state, ttls) : takeRecords(survivor, state);
    for await (const item of above) {
      if (item.kind === "body") state.take([item]);
      else state.skip(item.to, item.hash);
    }
    for (const { key, value } of rowsOf(past.state, LEASES.from, LEASES.to)) {
      const lease = leaseOfRow(key);
      if (lease !== null) ttls.set(lease, leaseRow.decode(value).ttlMs);
    }
    const contentHash = toHex(state.content().hash);
    const { hash, begins } = state;
    const restored = {
      cluster,
      lineage: departed(position, epoch, hash),
      revision: epoch.departure,
      hash,
      applyVersion: position.applyVersion,
      // Behind the last revision of which there is no record, or with the base's own.
      compacted: begins === 0 ? first : revision(begins + 1),
      lease: restoredLeases(ttls, Date.now()),
    };
    state.finish(restored, founding([node]));
    return { contentHash };
  } finally {
    state.close();
  }
}

function takeRecords({ position, past }: Survivor, state: StateRestore): Revision {
  for (let next = 1; next <= position.revision; ) {
    const records: readonly StoredRecord[] = past.records(revision(next), BATCH_BYTES);
    const last = records.at(-1);
    if (last === undefined) throw new OpenClawError("DATA_CORRUPT", `the survivor has no revision ${next}`);
    state.take(records);
    next = last.revision + 1;
  }
  // The ledger does not tell them, and the cluster goes on with them.
  for (const { from, to } of [LINKS, REGISTRY])
    state.takeRows([...rowsOf(past.state, from, to)].map((row) => ({ ...row, stamp: null })));
  return revision(0);
}

/** Where the ledger's beginning is compacted, what stands at the survivor's revision is what the new one begins with. */
function takeBase({ position, past }: Survivor, state: StateRestore, ttls: Map<LeaseId, number>): Revision {
  for (const part of baseParts(past, sha256)) {
    switch (part.kind) {
      case "head":
        state.begin(part);
        break;
      case "rows": {
        const rows: BaseRow[] = [];
        for (const row of part.rows) {
          const lease = leaseOfRow(row.key);
          if (lease === null) rows.push(row);
          else ttls.set(lease, leaseRow.decode(row.value).ttlMs);
        }
        state.takeRows(rows);
        break;
      }
      case "end":
        break;
    }
  }
  return position.revision;
}
