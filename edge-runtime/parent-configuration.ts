/** What a site's configurations say of its parent, made from a token. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { NodeConfig } from "./config.ts";
import { createEnrolment } from "./network/enrolment.ts";
import type { SiteToken } from "./site-token.ts";

export type Subscribed = NonNullable<NodeConfig["parent"]>["subscribe"];

/**
 * The `parent` of a site's configurations. All nodes of a site have the same: the token is used once, by the cluster.
 * @throws OpenClawError WRONG_CLUSTER when the token is for a site of another name, or was made by this very cluster
 */
export function parentOf(
  token: SiteToken,
  site: { readonly cluster: ClusterId; readonly clusterKey: string },
  subscribe: Subscribed,
): NonNullable<NodeConfig["parent"]> {
  const { grant, oneTimeKey, clusterKey, addresses } = token;
  if (grant.cluster === site.cluster)
    throw new OpenClawError("WRONG_CLUSTER", `the token is of ${site.cluster} itself`);
  return {
    cluster: grant.cluster,
    clusterKey: clusterKey.hex,
    addresses,
    enrolment: Buffer.from(createEnrolment(grant, site, oneTimeKey)).toString("base64url"),
    subscribe,
  };
}
