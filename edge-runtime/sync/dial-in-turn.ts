/** Dials the nodes of a cluster, in the turn of a `Rotation`. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Clock, Random } from "@openclaw/core/ports.ts";
import { type GatewayState, Rotation } from "@openclaw/core/sync/rotation.ts";
import type { SyncStream } from "../network/sync-streams.ts";

export interface Dialler {
  /** One try at every node. @throws OpenClawError UNAVAILABLE; CONFIG_INVALID for an address that is none */
  dial(signal: AbortSignal, ended: OpenClawError | null): Promise<SyncStream>;
  states(): readonly GatewayState[];
}

/** @param dial one node, by its addresses */
export function dialInTurn(
  addresses: readonly string[],
  clock: Clock,
  random: Random,
  dial: (addresses: readonly string[], signal: AbortSignal) => Promise<SyncStream>,
): Dialler {
  const nodes = [...Map.groupBy(addresses, peerOf).values()];
  const rotation = new Rotation(clock, random, nodes, ([address = ""]) => peerOf(address));
  return {
    states: () => rotation.states(),
    dial: async (signal, ended) => {
      const failures: string[] = [];
      const stream = await rotation.dial(
        ended,
        (node) => dial(node, signal),
        (_, error) => {
          if (!(error instanceof OpenClawError) || error.code === "CONFIG_INVALID") throw error;
          if (signal.aborted) throw error;
          failures.push(error.details);
        },
      );
      if (stream !== null) return stream;
      throw new OpenClawError("UNAVAILABLE", failures.join("; ") || "no address to dial");
    },
  };
}

/** Addresses of one peer are one node's; one without a peer id is a node of its own. */
const peerOf = (address: string): string => /\/p2p\/([^/]+)$/.exec(address)?.[1] ?? address;
