/** A site's, or hub's, replica as what the parent's side of sync stands on. */
import { asOpenClawError } from "@openclaw/core/errors.ts";
import { senderHash } from "@openclaw/core/history/mirror.ts";
import type { Replica } from "@openclaw/core/replica.ts";
import type { CommandResult } from "@openclaw/core/state-machine/command.ts";
import type { Authority, Principal } from "@openclaw/core/sync/authority.ts";
import type { EpochCommand, Import, ParentBackend, SiteClaim } from "@openclaw/core/sync/backend.ts";
import type { ChangeCheck } from "../documents/change-check.ts";
import { sha256 } from "../storage/sha256.ts";
import type { ChildRefusals } from "./refusals.ts";
import type { SiteRegistry } from "./site-registry.ts";

/** Longest that an import, or a keep-alive, and a linearizable read, may take: less than a child waits for an answer. */
const PROPOSE_MS_MAX = 10_000;
const BARRIER_MS_MAX = 5_000;

export type BackendReplica = Pick<
  Replica,
  "propose" | "execute" | "barrier" | "read" | "history" | "ledger" | "follow" | "position" | "staleMs"
>;

export interface BackendOptions {
  readonly replica: BackendReplica;
  readonly authority: Authority;
  readonly changeCheck: Pick<ChangeCheck, "check">;
  readonly sites: Pick<SiteRegistry, "admit">;
  readonly refusals: Pick<ChildRefusals, "note" | "count">;
}

export function replicaBackend(options: BackendOptions): ParentBackend {
  const { replica, authority, changeCheck } = options;
  return {
    authority,
    verifySite: (claim) => verifySite(options, claim),
    checkChanges: (changes) => changeCheck.check(changes),
    propose: (command, principal) => propose(options, command, principal),
    keepAlive: (lease, principal) =>
      replica.execute({ kind: "leaseKeepAlive", lease }, { principal, timeoutMs: PROPOSE_MS_MAX }),
    barrier: () => replica.barrier(BARRIER_MS_MAX),
    read: (query) => replica.read(query),
    history: (query) => replica.history(query),
    sha256,
    senderHash: (link, at) => senderHash((question) => replica.history(question), link, at),
    ledger: (from, maxBytes) => replica.ledger(from, maxBytes),
    position: () => replica.position(),
    staleMs: () => replica.staleMs(),
    follow: (listener) => replica.follow(listener),
  };
}

async function propose(
  { replica, refusals }: BackendOptions,
  command: Import | EpochCommand,
  principal: string,
): Promise<CommandResult> {
  const result = await replica.propose(command, { principal, timeoutMs: PROPOSE_MS_MAX });
  // A gap is how a sender learns where to go on (S2).
  if ("cluster" in command && result.kind === "importRefused" && result.code !== "GAP")
    refusals.count(command.cluster, result.code, { reason: result.details });
  return result;
}

async function verifySite({ sites, refusals }: BackendOptions, claim: SiteClaim): Promise<Principal> {
  try {
    const node = await sites.admit(claim);
    // What a site may see is its subscription's matter, until keys and collections have scopes.
    const all = (): boolean => true;
    return {
      name: `site:${claim.cluster}/${node}`,
      mayReadKey: all,
      mayReadPrefix: all,
      mayWriteKey: all,
      mayWritePrefix: all,
      mayReadDocument: all,
      mayReadCollection: all,
      mayWriteDocument: all,
      expires: null,
    };
  } catch (error) {
    refusals.note(claim.cluster, asOpenClawError(error), claim.remotePeer);
    throw error;
  }
}
