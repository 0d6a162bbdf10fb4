/**
 * Dials the nodes of a cluster one after the other, each try at the next, beginning with the one that answered last, or
 * behind it if that is why the last connection ended: a node that is cut off from its own cluster still answers.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Random } from "@openclaw/core/ports.ts";
import type { Host } from "../network/host.ts";
import { dialSync, type SyncStream } from "../network/sync-streams.ts";

/**
 * @returns a function that makes one try at every node
 * @throws OpenClawError CONFIG_INVALID for an address that is none; the function: UNAVAILABLE
 */
export function dialInTurn(
  host: Host,
  addresses: readonly string[],
  random: Random,
): (signal: AbortSignal, ended: OpenClawError | null) => Promise<SyncStream> {
  const nodes = [...Map.groupBy(addresses, peerOf).values()];
  // Spreads those who dial over those who are dialled.
  let next = Math.floor(random.unit() * nodes.length);
  return async (signal, ended) => {
    if (ended !== null) next++;
    const failures: string[] = [];
    for (let tried = 0; tried < nodes.length && !signal.aborted; tried++) {
      const node = nodes[next % nodes.length] ?? [];
      try {
        return await dialSync(host, node, signal);
      } catch (error) {
        if (!(error instanceof OpenClawError) || error.code === "CONFIG_INVALID") throw error;
        failures.push(error.details);
        next++;
      }
    }
    throw new OpenClawError("UNAVAILABLE", failures.join("; ") || "no address to dial");
  };
}

/** Addresses of one peer are one node's; one without a peer id is a node of its own. */
const peerOf = (address: string): string => /\/p2p\/([^/]+)$/.exec(address)?.[1] ?? address;
