/** Where this node is, as others are told, and whom it dials first. */
import type { NodeConfig } from "./config.ts";

/** Peers of the cluster are dialled at start, so that gossip has somebody to talk to before Raft does. */
export function bootstrapOf(config: NodeConfig, self: string): readonly string[] {
  return config.members
    .filter(({ peer }) => peer !== self)
    .flatMap(({ peer, addresses }) =>
      addresses.filter((address) => !address.endsWith("/ws")).map((address) => `${address}/p2p/${peer}`),
    );
}

/** Where this node listens for others. */
export const ownAddresses = (config: NodeConfig): readonly string[] =>
  config.members.find(({ node }) => node === config.node)?.addresses ?? config.listen;

/** How others reach our API: what the member list says of us, else where we listen. */
export function advertised(config: NodeConfig): string {
  return (
    config.members.find(({ node }) => node === config.node)?.http ?? `http://${config.http.host}:${config.http.port}`
  );
}
