/** What the parent holds of a cluster that is rescued: whether it is the survivor's ledger, and what it has above that. */
import { equalBytes } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Mirror, MirrorItem } from "@openclaw/core/history/history-query.ts";
import { PARTITION, type Revision, revision } from "@openclaw/core/ids.ts";
import { chainHash, leafHash } from "@openclaw/core/ledger/chain.ts";
import { seamsOf } from "@openclaw/core/ledger/lineage.ts";
import { judge } from "@openclaw/core/ledger/lives.ts";
import { firstOf, lastOf, type MirrorSource } from "../rebuild/mirror-source.ts";
import { sha256 } from "../storage/sha256.ts";
import type { Survivor } from "./survivor.ts";

type Link = NonNullable<Mirror["link"]>;

/**
 * How far the parent has the survivor's ledger; null: it has nothing of the cluster.
 * @throws OpenClawError RESCUE_REFUSED where it follows another life; FORK; NOT_FOUND, UNAVAILABLE of the parent
 */
export async function copyAt(source: MirrorSource, { position, past, config }: Survivor): Promise<Link | null> {
  const { link } = await source.page(position.revision + 1).catch((error: unknown) => {
    // The parent is not that far.
    if (error instanceof OpenClawError && error.code === "REVISION_AHEAD") return source.page(1);
    if (error instanceof OpenClawError && error.code === "NOT_FOUND")
      throw new OpenClawError(
        "NOT_FOUND",
        `nothing of ${config.cluster} came there; if that is its hub and it never shipped, rescue it with --offline`,
        { cause: error },
      );
    throw error;
  });
  if (link === null) return null;
  const verdict = judge(link, position);
  if (verdict.kind !== "same" && verdict.kind !== "successor")
    throw new OpenClawError(
      "RESCUE_REFUSED",
      `the parent follows epoch ${link.epoch.counter} (${link.epoch.nonce}) of ${config.cluster} by now: another life reached it first`,
    );
  if (link.cursor > position.revision) return link;
  const ours = hashIn(past, link.cursor);
  if (ours !== null && !equalBytes(ours, link.hash))
    throw new OpenClawError("FORK", `the parent has another hash of revision ${link.cursor}`);
  return link;
}

/**
 * What the parent has above the survivor, up to `end`: each item leads from the survivor's hash to the parent's (L2).
 * @throws OpenClawError FORK, DATA_CORRUPT; RESCUE_REFUSED when more comes meanwhile; NOT_FOUND, UNAVAILABLE of the parent
 */
export async function* itemsAbove(
  source: MirrorSource,
  { position, past }: Pick<Survivor, "position" | "past">,
  end: Link,
): AsyncGenerator<MirrorItem> {
  const seams = seamsOf(sha256, position.cluster, PARTITION, position);
  let reached = position.revision;
  let { hash } = position;
  for await (const { items, link, before, fault } of source.pages(reached + 1)) {
    if (link === null || link.cursor !== end.cursor || link.epoch.nonce !== end.epoch.nonce)
      throw new OpenClawError("RESCUE_REFUSED", "the cluster still ships to its parent; stop all of its nodes first");
    for (const item of items) {
      const first = firstOf(item);
      // The survivor's end may be inside a gap: the parent has no hash of it there, but one of where the gap begins.
      const begins = reached === position.revision && first <= reached;
      if (reached === position.revision && before !== null)
        requireSame(begins ? hashIn(past, first - 1) : hash, before, first);
      if ((first !== reached + 1 && !begins) || lastOf(item) <= reached) throw notFollowing(first);
      if (item.kind === "body") {
        const leads = chainHash(sha256, seams(reached, hash), PARTITION, first, leafHash(sha256, item.record));
        if (!equalBytes(leads, item.hash)) throw notFollowing(first);
      }
      yield item.kind === "gap" ? { ...item, from: revision(reached + 1) } : item;
      hash = item.hash;
      reached = lastOf(item);
    }
    if (fault !== null)
      throw new OpenClawError("DATA_CORRUPT", `revision ${fault.revision} at the parent: ${fault.details}`);
  }
  if (reached !== end.cursor || !equalBytes(hash, end.hash))
    throw new OpenClawError(
      "DATA_CORRUPT",
      `the parent's copy ends at revision ${reached}, not as it came at ${end.cursor}`,
    );
}

/** @param ours null: it is compacted here */
function requireSame(ours: Uint8Array | null, theirs: Uint8Array, next: Revision): void {
  if (ours !== null && !equalBytes(ours, theirs))
    throw new OpenClawError("FORK", `the parent has another hash of revision ${next - 1}`);
}

const notFollowing = (at: Revision): OpenClawError =>
  new OpenClawError("FORK", `the parent's revision ${at} does not follow the survivor's ledger`);

/** Null where it is compacted, and of revision 0. */
function hashIn(past: Survivor["past"], at: number): Uint8Array | null {
  if (at === 0) return null;
  try {
    const [record] = past.records(revision(at), 1);
    return record?.revision === at ? record.hash : null;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "COMPACTED") return null;
    throw error;
  }
}
