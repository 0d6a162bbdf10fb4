/** Whose presence may be shown: our own cluster's, our parent's, our sites'. */
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { NodeConfig } from "../config.ts";
import type { SiteRegistry } from "../sync/site-registry.ts";
import { ClusterPublicKey } from "./identity.ts";

export function keyring(
  { cluster, parent }: NodeConfig,
  own: ClusterPublicKey,
  sites: Pick<SiteRegistry, "keyOf">,
): (of: ClusterId) => ClusterPublicKey | null {
  const keys = new Map<ClusterId, ClusterPublicKey>([[cluster, own]]);
  if (parent !== null) keys.set(parent.cluster, new ClusterPublicKey(parent.clusterKey));
  return (of) => keys.get(of) ?? sites.keyOf(of);
}
