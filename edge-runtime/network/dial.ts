/** Opens streams, within a time. */
import type { PeerId, Stream } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { asError } from "./frame.ts";
import type { Host } from "./host.ts";
import { DIAL_TIMEOUT_MS } from "./limits.ts";

/**
 * A stream to a peer, over an open connection if there is one. A signal given to libp2p takes the place of its own
 * timeouts, so ours is part of it: a stopped process keeps its sockets open and would hold the negotiation for ever.
 * @throws OpenClawError UNAVAILABLE
 */
export async function openStream(
  host: Host,
  target: PeerId | Multiaddr[],
  protocol: string,
  signal: AbortSignal,
): Promise<Stream> {
  try {
    return await host.dialProtocol(target, protocol, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]),
    });
  } catch (error) {
    throw new OpenClawError("UNAVAILABLE", `cannot open ${protocol} to ${target}: ${asError(error).message}`, {
      cause: error,
    });
  }
}

/** Closes the connections to the peers that these addresses name. */
export function hangUp(host: Host, addresses: readonly string[]): void {
  for (const connection of host.getConnections()) {
    if (!addresses.some((address) => address.endsWith(`/p2p/${connection.remotePeer}`))) continue;
    connection.close().catch((error: unknown) => connection.abort(asError(error)));
  }
}
