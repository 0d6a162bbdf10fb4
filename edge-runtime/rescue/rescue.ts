/**
 * Revives a cluster that lost its majority, from the folder of a node that is left (S6): a new cluster of one node, under a
 * new epoch that departs from the most that is known. What the parent has above the survivor is taken first. The old members
 * are fenced by the epoch: who is still there stops when it meets it, and the parent refuses it.
 */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { equalBytes, toHex } from "@openclaw/core/bytes.ts";
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
import { chainHash, leafHash } from "@openclaw/core/ledger/chain.ts";
import { beginningOf, departed, seamsOf } from "@openclaw/core/ledger/lineage.ts";
import { judge } from "@openclaw/core/ledger/lives.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { LEASES, LINKS, leaseOfRow } from "@openclaw/core/state-machine/keyspace.ts";
import { leaseRow } from "@openclaw/core/state-machine/lease-rows.ts";
import { rowsOf } from "@openclaw/core/state-machine/row-pages.ts";
import { parseDocument } from "yaml";
import { type MadeCluster, makeCluster, type NewCluster, restoredLeases } from "../backup/new-cluster.ts";
import { loadConfig } from "../config.ts";
import { lastOf, type MirrorSource } from "../rebuild/mirror-source.ts";
import { sha256 } from "../storage/sha256.ts";
import { StateRestore } from "../storage/state-restore.ts";
import { othersOf, type Survivor } from "./survivor.ts";

/** Bytes of records that are taken in one transaction. */
const BATCH_BYTES = 4_194_304;
/** What the new node keeps of the survivor's configuration. */
const KEPT = [
  "parent",
  "children",
  "snapshots",
  "memory",
  "comparison",
  "retention",
  "disk",
  "mdns",
  "logLevel",
] as const;

export interface RescuePlan extends Omit<NewCluster, "cluster" | "epoch"> {
  readonly survivor: Survivor;
  /** The path of the survivor's configuration. */
  readonly survivorConfig: string;
  readonly source: MirrorSource | null;
  /** The members that are lost for good. Asked for where no parent can be. */
  readonly dead: readonly string[];
}

export interface RescuePlanned {
  readonly cluster: ClusterId;
  readonly from: Epoch;
  /** The new one, which departs from the last revision that survivor or parent has. */
  readonly epoch: Epoch;
  /** The members that are left behind. */
  readonly fenced: readonly NodeId[];
  readonly survivor: { readonly node: NodeId; readonly revision: number };
  /** Null: the parent was not asked. */
  readonly parent: { readonly revision: number } | null;
  /** What the parent has and the survivor lacked: it is taken. Null where that is nothing. */
  readonly onlyAtParent: { readonly from: number; readonly to: number; readonly items: readonly MirrorItem[] } | null;
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
export async function planRescue({
  survivor,
  source,
  dead,
}: Pick<RescuePlan, "survivor" | "source" | "dead">): Promise<RescuePlanned> {
  const { config, position } = survivor;
  const fenced = othersOf(survivor);
  requireDead(survivor, fenced, dead, source === null);
  const known = source === null ? null : await parentOf(source, survivor);
  const cursor = known?.cursor ?? 0;
  const departure = revision(Math.max(position.revision, cursor));
  const items = known?.items ?? [];
  return {
    cluster: config.cluster,
    from: position.epoch,
    epoch: {
      counter: position.epoch.counter + 1,
      nonce: randomBytes(16).toString("hex"),
      parent: position.epoch.nonce,
      departure,
    },
    fenced,
    survivor: { node: config.node, revision: position.revision },
    parent: known === null ? null : { revision: cursor },
    onlyAtParent: cursor > position.revision ? { from: position.revision + 1, to: cursor, items } : null,
    onlyAtSurvivor: known !== null && position.revision > cursor ? { from: cursor + 1, to: position.revision } : null,
  };
}

/** @throws as `planRescue`, and RESTORE_REFUSED when the folder holds anything */
export async function rescueSite(plan: RescuePlan): Promise<Rescued> {
  const what = await planRescue(plan);
  const made = await makeCluster({ ...plan, cluster: what.cluster, epoch: what.epoch }, (data, node) =>
    makeState(plan.survivor, what, data, node),
  );
  await keepConfig(plan.survivorConfig, made.node.config);
  return { ...what, ...made };
}

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

/** What the parent has of the cluster, above the survivor too. */
async function parentOf(source: MirrorSource, { position, past, config }: Survivor) {
  const { link, before } = await source.page(Math.max(1, position.revision + 1)).catch((error: unknown) => {
    // The parent is not that far.
    if (error instanceof OpenClawError && error.code === "REVISION_AHEAD") return source.page(1);
    throw error;
  });
  if (link === null) return { cursor: revision(0), items: [] };
  const verdict = judge(link, position);
  if (verdict.kind !== "same" && verdict.kind !== "successor")
    throw new OpenClawError(
      "RESCUE_REFUSED",
      `the parent follows epoch ${link.epoch.counter} (${link.epoch.nonce}) of ${config.cluster} by now: another life reached it first`,
    );
  if (link.cursor <= position.revision) {
    const ours = hashIn(past, link.cursor);
    if (link.cursor > 0 && ours !== null && !equalBytes(ours, link.hash))
      throw new OpenClawError("FORK", `the parent has another hash of revision ${link.cursor}`);
    return { cursor: link.cursor, items: [] };
  }
  if (before !== null && position.revision > 0 && !equalBytes(before, position.hash))
    throw new OpenClawError("FORK", `the parent has another hash of revision ${position.revision}`);
  return { cursor: link.cursor, items: await itemsAbove(source, position) };
}

/** Checked: each leads from the survivor's hash to the parent's (L2). */
async function itemsAbove(source: MirrorSource, position: Survivor["position"]): Promise<readonly MirrorItem[]> {
  const items: MirrorItem[] = [];
  const seams = seamsOf(sha256, position.cluster, PARTITION, position);
  let reached = position.revision;
  let { hash } = position;
  for await (const page of source.pages(position.revision + 1)) {
    if (page.fault !== null)
      throw new OpenClawError("DATA_CORRUPT", `revision ${page.fault.revision} at the parent: ${page.fault.details}`);
    for (const item of page.items) {
      if (item.kind === "body") {
        hash = chainHash(sha256, seams(reached, hash), PARTITION, item.revision, leafHash(sha256, item.record));
        if (item.revision !== reached + 1 || !equalBytes(hash, item.hash))
          throw new OpenClawError(
            "FORK",
            `the parent's revision ${item.revision} does not follow the survivor's ledger`,
          );
      }
      hash = item.hash;
      reached = lastOf(item);
      items.push(item);
    }
  }
  return items;
}

function hashIn(past: Survivor["past"], at: Revision): Uint8Array | null {
  if (at === 0) return null;
  try {
    const [record] = past.records(at, 1);
    return record?.revision === at ? record.hash : null;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "COMPACTED") return null;
    throw error;
  }
}

async function makeState(
  survivor: Survivor,
  { cluster, epoch, onlyAtParent }: RescuePlanned,
  data: string,
  node: NodeId,
) {
  const { position, past } = survivor;
  const state = new StateRestore(data, cluster, beginningOf(sha256, cluster, PARTITION, position));
  try {
    const ttls = new Map<LeaseId, number>();
    const first = position.compacted > 1 ? takeBase(survivor, state, ttls) : takeRecords(survivor, state);
    for (const item of onlyAtParent?.items ?? []) {
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
      compacted: revision(Math.max(first, begins)),
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
  state.takeRows([...rowsOf(past.state, LINKS.from, LINKS.to)].map((row) => ({ ...row, stamp: null })));
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

/** What the cluster was beside its members: its parent, its children, its limits. */
async function keepConfig(from: string, to: string): Promise<void> {
  const before = parseDocument(await readFile(from, "utf8"));
  const after = parseDocument(await readFile(to, "utf8"));
  for (const field of KEPT) {
    const value: unknown = before.get(field);
    if (value !== undefined) after.set(field, value);
  }
  await writeFile(to, after.toString());
  await loadConfig(to); // what we wrote must be what is read
}
