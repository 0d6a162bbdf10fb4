/** The door of the parent's side: who a child is, and whether it may go on from where it says that it stands (L3). */
import { equalBytes } from "../bytes.ts";
import { type ErrorCode, OpenClawError, unreachable } from "../errors.ts";
import { isNonce, type LinkId, type Revision } from "../ids.ts";
import { epochsOf, partingOf } from "../ledger/lineage.ts";
import { judge } from "../ledger/lives.ts";
import type { SnapshotProgress } from "../ledger/snapshot.ts";
import type { Witness } from "../ledger/witness.ts";
import { CONTENDERS_MAX } from "../state-machine/link-epochs.ts";
import type { LinkState } from "../state-machine/query.ts";
import type { Principal } from "./authority.ts";
import type { ParentBackend } from "./backend.ts";
import { heldBy, witnessesOf } from "./life-change.ts";
import { type ChildIdentity, type ChildMessage, SYNC_VERSION } from "./message.ts";
import { lastOf, requireSame } from "./same-record.ts";

type Hello = Extract<ChildMessage, { kind: "hello" }>;
type Site = Extract<ChildIdentity, { kind: "site" }>;

export interface Admission {
  readonly principal: Principal;
  /** What is kept of the child's link; null for one that has pushed nothing yet. */
  readonly link: LinkState | null;
  /** A site's last record that is here and above the link's cursor. */
  readonly record: Witness | null;
  /** A site's snapshot that is under way (S4). */
  readonly snapshot: SnapshotProgress | null;
  /** What is streamed to it. Null also for a site that has to settle first what it took of another life of ours. */
  readonly down: Hello["down"];
}

/**
 * A life of a site that is refused, and that an operator may choose, is noted.
 * @throws OpenClawError WRONG_EPOCH, EPOCH_BEHIND, FORK, UNAVAILABLE
 */
export async function admitChild(backend: ParentBackend, hello: Hello, principal: Principal): Promise<Admission> {
  const { child, down } = hello;
  if (child.kind === "client") {
    await requireOurs(backend, down);
    const { link } = await backend.read({ kind: "link", link: hello.link });
    return { principal, link, record: null, snapshot: null, down };
  }
  // Ahead is not a fork (L3): another node of ours may know more than this one.
  await backend.barrier();
  const link = await followed(backend, hello.link, child, principal);
  const { snapshot } = await backend.read({ kind: "stream", link: hello.link });
  const { marks } = await backend.read({ kind: "marks", origin: child.cluster });
  const record = lastOf(witnessesOf(marks), child, link?.cursor ?? 0);
  return { principal, link, record, snapshot, down: await resumable(backend, down) };
}

/** @throws OpenClawError UNKNOWN_VERSION, NOT_ADMITTED, UNKNOWN_CHILD, WRONG_CLUSTER, UNAUTHENTICATED */
export async function authenticate(
  backend: ParentBackend,
  { version, child, link }: Hello,
  remotePeer: string,
): Promise<Principal> {
  if (version !== SYNC_VERSION)
    throw new OpenClawError("UNKNOWN_VERSION", `${version}, this side speaks ${SYNC_VERSION}`);
  if (child.kind === "client") {
    // A client draws its link; a name would be a site's.
    if (!isNonce(link)) throw new OpenClawError("NOT_ADMITTED", "a client's link is 32 hex digits");
    return backend.authority.authenticate(child.token);
  }
  if (String(link) !== String(child.cluster)) throw new OpenClawError("WRONG_CLUSTER", "a site's link is its name");
  return backend.verifySite({ ...child, remotePeer });
}

/** The last of our revisions that the child knows of. */
const tookOf = ({ cursor, snapshot }: NonNullable<Hello["down"]>): Revision =>
  snapshot !== null && snapshot.head.at > cursor ? snapshot.head.at : cursor;

/** What a client took of our ledger is of this epoch, and there. */
async function requireOurs(backend: ParentBackend, down: Hello["down"]): Promise<void> {
  const { epoch } = backend.position();
  if (down === null) return;
  if (down.epoch !== null && down.epoch !== epoch.nonce)
    throw new OpenClawError("WRONG_EPOCH", `the cursor is of epoch ${down.epoch}, this is ${epoch.nonce}`);
  const took = tookOf(down);
  if (took <= backend.position().revision) return;
  await backend.barrier();
  if (took > backend.position().revision) throw new OpenClawError("FORK", "the child took more than there is");
}

/** The site's link, which follows this life of it by now. */
async function followed(
  backend: ParentBackend,
  id: LinkId,
  site: Site,
  principal: Principal,
): Promise<LinkState | null> {
  const { link } = await backend.read({ kind: "link", link: id });
  const held = await heldBy(backend, link, site.cluster, site);
  const refuse = async (code: ErrorCode, details: string): Promise<never> => {
    const { epoch, ancestors, revision: at } = site;
    const contender = { epoch, ancestors, revision: at, code };
    const { contenders } = await backend.read({ kind: "lives", link: id });
    // It comes again and again, and an entry that changes nothing is one as well (L1).
    if (contenders.length < CONTENDERS_MAX && !contenders.some((known) => known.epoch.nonce === epoch.nonce))
      await backend.propose({ kind: "noteContender", link: id, contender }, principal.name);
    throw new OpenClawError(code, details);
  };
  const verdict = judge(held, site);
  switch (verdict.kind) {
    case "first":
      return site.ancestors.length === 0 ? null : succeeded(backend, id, site, principal);
    case "successor":
      return succeeded(backend, id, site, principal);
    case "same":
      // Whether it has what was taken of it only the site can tell, by a ReadIndex after it heard the cursor.
      return link === null && site.ancestors.length > 0 ? succeeded(backend, id, site, principal) : link;
    case "behind":
      return refuse(
        "EPOCH_BEHIND",
        `${site.cluster} went on from revision ${verdict.parting.revision}, ${held?.cursor} was taken of it`,
      );
    case "older":
      throw new OpenClawError(
        "WRONG_EPOCH",
        `${site.cluster} is in epoch ${held?.epoch.counter} by now, this is an older life of it, of epoch ${site.epoch.counter}`,
      );
    case "rival":
      return refuse(
        "FORK",
        `another life of ${site.cluster} is followed: they parted at revision ${verdict.parting?.revision ?? 0}`,
      );
    default:
      return unreachable(verdict);
  }
}

async function succeeded(
  backend: ParentBackend,
  link: LinkId,
  { cluster, epoch, ancestors }: Site,
  principal: Principal,
): Promise<LinkState | null> {
  const lineage = { epoch, ancestors };
  const result = await backend.propose({ kind: "succeedEpoch", link, cluster, lineage, holds: null }, principal.name);
  if (result.kind === "importRefused") throw new OpenClawError(result.code, result.details);
  return (await backend.read({ kind: "link", link })).link;
}

/** Where a site's stream goes on. @throws OpenClawError FORK */
async function resumable(backend: ParentBackend, down: Hello["down"]): Promise<Hello["down"]> {
  if (down === null) return null;
  if (down.record !== null) await requireSame(backend, backend.sha256, down.record);
  if (down.epoch === null) return down;
  const ours = backend.position();
  const known = epochsOf(ours).find(({ nonce }) => nonce === down.epoch);
  if (known === undefined) return null;
  const parting = partingOf({ epoch: known, ancestors: [] }, ours);
  const until = parting === null || parting === "same" ? ours.revision : parting.revision;
  if (tookOf(down) > until) {
    if (parting === "same")
      throw new OpenClawError("FORK", `the child took revision ${tookOf(down)}, the ledger ends at ${until}`);
    return null;
  }
  const hash = await hashAt(backend, down.cursor);
  if (hash !== null && down.hash !== null && !equalBytes(hash, down.hash))
    throw new OpenClawError("FORK", `another hash at revision ${down.cursor}, which the child took`);
  return down;
}

/** Null where there is none any more. */
async function hashAt(backend: ParentBackend, at: Revision): Promise<Uint8Array | null> {
  if (at === 0) return null;
  try {
    const { records } = await backend.ledger(at, 1);
    return records[0]?.revision === at ? records[0].hash : null;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "COMPACTED") return null;
    throw error;
  }
}
