/** A site's, or hub's, replica as what the parent's side of sync stands on. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { senderHash } from "@openclaw/core/history/mirror.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { Replica } from "@openclaw/core/replica.ts";
import type { Authority, Principal } from "@openclaw/core/sync/authority.ts";
import type { ParentBackend, SiteClaim } from "@openclaw/core/sync/backend.ts";
import type { ChangeCheck } from "../documents/change-check.ts";
import { verifyCredential } from "../network/credential.ts";
import { ClusterPublicKey } from "../network/identity.ts";

/** Longest that an import, or a keep-alive, and a linearizable read, may take: less than a child waits for an answer. */
const PROPOSE_MS_MAX = 10_000;
const BARRIER_MS_MAX = 5_000;

export type BackendReplica = Pick<
  Replica,
  "propose" | "execute" | "barrier" | "read" | "history" | "ledger" | "follow" | "position" | "staleMs"
>;

/** A cluster that may be our child, and the key that its nodes' credentials are signed with. */
export interface PinnedChild {
  readonly cluster: ClusterId;
  readonly clusterKey: string;
}

export function replicaBackend(options: {
  readonly replica: BackendReplica;
  readonly authority: Authority;
  readonly changeCheck: Pick<ChangeCheck, "check">;
  readonly children: readonly PinnedChild[];
}): ParentBackend {
  const { replica, authority, changeCheck } = options;
  const keys = new Map(options.children.map(({ cluster, clusterKey }) => [cluster, new ClusterPublicKey(clusterKey)]));
  return {
    authority,
    verifySite: async (claim) => verifySite(claim, keys.get(claim.cluster)),
    checkChanges: (changes) => changeCheck.check(changes),
    propose: (command, principal) => replica.propose(command, { principal, timeoutMs: PROPOSE_MS_MAX }),
    keepAlive: (lease, principal) =>
      replica.execute({ kind: "leaseKeepAlive", lease }, { principal, timeoutMs: PROPOSE_MS_MAX }),
    barrier: () => replica.barrier(BARRIER_MS_MAX),
    read: (query) => replica.read(query),
    senderHash: (link, at) => senderHash((question) => replica.history(question), link, at),
    ledger: (from, maxBytes) => replica.ledger(from, maxBytes),
    position: () => replica.position(),
    staleMs: () => replica.staleMs(),
    follow: (listener) => replica.follow(listener),
  };
}

function verifySite(
  { cluster, credential, remotePeer }: SiteClaim,
  clusterKey: ClusterPublicKey | undefined,
): Principal {
  if (clusterKey === undefined)
    throw new OpenClawError("UNKNOWN_CHILD", `${cluster} is not among the children configured here`);
  const { node } = verifyCredential(credential, { cluster, clusterKey, remotePeer });
  // What a site may see is its subscription's matter, until keys and collections have scopes.
  const all = (): boolean => true;
  return {
    name: `site:${cluster}/${node}`,
    mayReadKey: all,
    mayReadPrefix: all,
    mayWriteKey: all,
    mayWritePrefix: all,
    mayReadDocument: all,
    mayReadCollection: all,
    mayWriteDocument: all,
    expires: null,
  };
}
