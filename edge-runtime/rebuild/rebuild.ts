/**
 * Makes a lost site again from what its hub holds of it (S6): the content at the last revision that was shipped, in a folder
 * of one node and under a new epoch that departed there. What the hub never had is not made up: it is itemised.
 */
import { randomBytes } from "node:crypto";
import { equalBytes, toHex } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Mirror, MirrorItem } from "@openclaw/core/history/history-query.ts";
import { type ClusterId, type Epoch, type NodeId, PARTITION, type Revision, revision } from "@openclaw/core/ids.ts";
import { chainHash, leafHash } from "@openclaw/core/ledger/chain.ts";
import type { GapReason } from "@openclaw/core/ledger/gap.ts";
import { beginningOf, departed, seamsOf } from "@openclaw/core/ledger/lineage.ts";
import type { Seams } from "@openclaw/core/ledger/verify.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { type MadeCluster, makeCluster, type NewCluster, restoredLeases } from "../backup/new-cluster.ts";
import { sha256 } from "../storage/sha256.ts";
import { StateRestore } from "../storage/state-restore.ts";
import { firstOf, lastOf, type MirrorSource } from "./mirror-source.ts";

/** Bytes of bodies that are replayed in one transaction. */
const BATCH_BYTES = 4_194_304;
/** Runs of lacking revisions that are listed; further ones are counted. */
const LACKING_LISTED_MAX = 1_000;

/** Revisions that the hub does not hold as bodies. */
export interface Lacking {
  readonly from: number;
  readonly to: number;
  readonly reason: GapReason;
}

export interface RebuildPlan extends Omit<NewCluster, "cluster" | "epoch"> {
  readonly site: ClusterId;
  readonly source: MirrorSource;
  readonly applyVersion: number;
  readonly progress: (revision: number, of: number) => void;
}

export interface Planned {
  readonly cluster: ClusterId;
  readonly from: Epoch;
  readonly epoch: Epoch;
  /** The last one that the hub holds. */
  readonly revision: number;
}

export interface Held {
  /** Revisions that are there as they were written. */
  readonly bodies: number;
  /** The others by their reason. */
  readonly lacking: { readonly [reason: string]: number };
  /** Where they are, the first of them. */
  readonly runs: readonly Lacking[];
}

export interface Rebuilt extends Planned, Held, MadeCluster {
  readonly contentHash: string;
  /** The first revision whose record is there. */
  readonly first: number;
}

/** What a rebuild would be of, all of it read and checked. @throws as `rebuildSite` */
export async function planRebuild({ source, site, progress }: Pick<RebuildPlan, "source" | "site" | "progress">) {
  const link = await linkOf(source, site);
  const held = new Holdings(site, link);
  for await (const item of items(source, link)) {
    held.take(item);
    progress(held.reached, link.cursor);
  }
  return { ...planned(site, link), ...held.end() };
}

/**
 * @throws OpenClawError NOT_FOUND when the hub has nothing of the site; COMPACTED when it does not keep all of it any more;
 * DATA_CORRUPT when what it has does not lead to the site's own hashes; RESTORE_REFUSED when the site still ships, or the
 * folder holds anything; CONFIG_INVALID; what the hub refuses
 */
export async function rebuildSite(plan: RebuildPlan): Promise<Rebuilt> {
  const { source, site } = plan;
  const link = await linkOf(source, site);
  const what = planned(site, link);
  const made = await makeCluster({ ...plan, cluster: site, epoch: what.epoch }, (data, node) =>
    makeState(plan, link, what, data, node),
  );
  return { ...what, ...made };
}

type Link = NonNullable<Mirror["link"]>;

async function linkOf(source: MirrorSource, site: ClusterId): Promise<Link> {
  const { link } = await source.page(1);
  if (link === null || link.cursor === 0)
    throw new OpenClawError("NOT_FOUND", `no revision of ${site} came to the hub`);
  return link;
}

function planned(cluster: ClusterId, { epoch: from, cursor }: Link): Planned {
  const nonce = randomBytes(16).toString("hex");
  const epoch: Epoch = { counter: from.counter + 1, nonce, parent: from.nonce, departure: cursor };
  return { cluster, from, epoch, revision: cursor };
}

/** Up to where the link was at first: a site that is lost ships no more. */
async function* items(source: MirrorSource, { cursor, epoch }: Link): AsyncGenerator<MirrorItem> {
  for await (const { items: page, link, fault } of source.pages(1)) {
    if (link === null || link.cursor !== cursor || link.epoch.nonce !== epoch.nonce)
      throw new OpenClawError("RESTORE_REFUSED", "the site still ships to the hub; stop its nodes first");
    for (const item of page) {
      if (item.kind === "gap" && item.reason === "compacted")
        throw new OpenClawError("COMPACTED", `the hub no longer keeps the site's revisions ${item.from} to ${item.to}`);
      yield item;
    }
    if (fault !== null)
      throw new OpenClawError("DATA_CORRUPT", `revision ${fault.revision} at the hub: ${fault.details}`);
  }
}

/** Follows the items: that none is missing, and that the bodies lead from hash to hash (L2). */
class Holdings {
  readonly #end: Link;
  /** What the next record is chained to, where one of the site's epochs departed (L3). */
  readonly #seams: Seams;
  #hash: Uint8Array;
  #reached = revision(0);
  #bodies = 0;
  readonly #lacking: Record<string, number> = {};
  readonly #runs: Lacking[] = [];

  constructor(site: ClusterId, end: Link) {
    this.#end = end;
    this.#seams = seamsOf(sha256, site, PARTITION, end);
    this.#hash = beginningOf(sha256, site, PARTITION, end);
  }

  get reached(): Revision {
    return this.#reached;
  }

  /** @throws OpenClawError DATA_CORRUPT */
  take(item: MirrorItem): void {
    const first = firstOf(item);
    const last = lastOf(item);
    if (first !== this.#reached + 1 || last < first)
      throw corrupt(revision(this.#reached + 1), `revisions ${first} to ${last} stand in its place`);
    if (item.kind === "body") {
      const previous = this.#seams(this.#reached, this.#hash);
      const hash = chainHash(sha256, previous, PARTITION, item.revision, leafHash(sha256, item.record));
      if (!equalBytes(hash, item.hash)) throw corrupt(item.revision, "it does not lead to its hash");
      this.#bodies++;
    } else {
      this.#lacking[item.reason] = (this.#lacking[item.reason] ?? 0) + last - first + 1;
      if (this.#runs.length < LACKING_LISTED_MAX) this.#runs.push({ from: first, to: last, reason: item.reason });
    }
    this.#hash = item.hash;
    this.#reached = last;
  }

  /** @throws OpenClawError DATA_CORRUPT */
  end(): Held {
    const { cursor, hash } = this.#end;
    if (this.#reached !== cursor || !equalBytes(this.#hash, hash))
      throw corrupt(this.#reached, `it is not what the site ended with at ${cursor}`);
    return { bodies: this.#bodies, lacking: this.#lacking, runs: this.#runs };
  }
}

const corrupt = (at: Revision, why: string): OpenClawError =>
  new OpenClawError("DATA_CORRUPT", `revision ${at} at the hub: ${why}`);

async function makeState(plan: RebuildPlan, link: Link, { cluster, epoch }: Planned, data: string, node: NodeId) {
  const { source, progress, applyVersion } = plan;
  const held = new Holdings(cluster, link);
  const state = new StateRestore(data, cluster, beginningOf(sha256, cluster, PARTITION, link));
  try {
    let batch: StoredRecord[] = [];
    let bytes = 0;
    const replay = (): void => {
      if (batch.length > 0) state.take(batch);
      progress(held.reached, link.cursor);
      batch = [];
      bytes = 0;
    };
    for await (const item of items(source, link)) {
      held.take(item);
      if (item.kind === "body") {
        batch.push(item);
        bytes += item.record.length;
        if (bytes >= BATCH_BYTES) replay();
      } else {
        replay();
        state.skip(item.to, item.hash);
      }
    }
    replay();
    const found = held.end();
    const contentHash = toHex(state.content().hash);
    const { begins, hash } = state;
    const lease = restoredLeases(new Map(), Date.now());
    // The first revision of which there is a record; where the last one shipped is in a gap, the next to come.
    const compacted = revision(begins === 0 ? 0 : begins + 1);
    const lineage = departed(link, epoch, hash);
    const restored = { cluster, lineage, revision: link.cursor, hash, applyVersion, compacted, lease };
    state.finish(restored, founding([node]));
    return { ...found, contentHash, first: begins + 1 };
  } finally {
    state.close();
  }
}
