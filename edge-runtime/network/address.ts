/** Where peers are, and where we listen. */

import type { PeerId } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { OpenClawError } from "@openclaw/core/errors.ts";

/** How a node is reached. With no address, whatever identify, mDNS or an open connection knows of the peer is tried. */
export interface PeerLocation {
  /** libp2p peer id; Noise proves it. */
  readonly peer: string;
  /** Multiaddrs, with or without `/p2p/<peer>` at the end. */
  readonly addresses: readonly string[];
}

/** @throws OpenClawError CONFIG_INVALID */
export function parseMultiaddr(text: string): Multiaddr {
  try {
    return multiaddr(text);
  } catch (error) {
    throw new OpenClawError("CONFIG_INVALID", `${text} is not a multiaddr`, { cause: error });
  }
}

/** @throws OpenClawError CONFIG_INVALID */
export function parsePeerId(text: string): PeerId {
  try {
    return peerIdFromString(text);
  } catch (error) {
    throw new OpenClawError("CONFIG_INVALID", `${text} is not a peer id`, { cause: error });
  }
}

/** What to give to libp2p's `dial`. @throws OpenClawError CONFIG_INVALID */
export function dialTarget(location: PeerLocation): PeerId | Multiaddr[] {
  const peer = parsePeerId(location.peer);
  if (location.addresses.length === 0) return peer;
  return location.addresses.map((text) => {
    const address = parseMultiaddr(text);
    const named = address.getComponents().some((component) => component.name === "p2p");
    return named ? address : address.encapsulate(`/p2p/${location.peer}`);
  });
}

/** True if nobody outside this machine can reach the address. A name other than `localhost` is never loopback. */
export function isLoopback(text: string): boolean {
  const [host] = parseMultiaddr(text).getComponents();
  switch (host?.name) {
    case "ip4":
      return host.value?.startsWith("127.") ?? false;
    case "ip6":
      return host.value === "::1";
    case "dns":
    case "dns4":
    case "dns6":
      return host.value === "localhost";
    default:
      return false;
  }
}

/** X2. @throws OpenClawError INSECURE_BIND naming the first address that others could reach */
export function requireLoopback(addresses: readonly string[]): void {
  for (const address of addresses) if (!isLoopback(address)) throw new OpenClawError("INSECURE_BIND", address);
}
