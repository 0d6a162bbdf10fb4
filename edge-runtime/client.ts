/** The client for Node.js programs: the same as in a browser, over TCP, and with its outbox in memory unless told where. */
// Gives core's Automerge its WebAssembly: both entries of the package share one instance.
import "@automerge/automerge";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import type { Client, ClientOptions } from "@openclaw/core/client/client.ts";
import { inspectionWith } from "@openclaw/core/client/inspection.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { openClient } from "@openclaw/core/client/open.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { childConnection } from "@openclaw/core/sync/connection.ts";
import { NODE_TOOLS } from "./documents/chunk-tools.ts";
import { createHost } from "./network/host.ts";
import { dialSync } from "./network/sync-streams.ts";
import { dialInTurn } from "./sync/dial-in-turn.ts";
import { systemClock, systemRandom, systemTurn } from "./system-ports.ts";

export interface OpenClawOptions
  extends Pick<ClientOptions, "subscribe" | "token" | "readYourWrites" | "freeze" | "roaming"> {
  /** Multiaddrs of the site's gateways, each with its `/p2p/…`. */
  readonly gateways: readonly string[];
  /**
   * Where edits wait that are not yet at the site, and what is mirrored: a `SqliteClientStore` keeps it in a file. In memory, and gone
   * with the process, unless given.
   */
  readonly store?: ClientOptions["store"];
}

/** Opens a client of a site. @throws OpenClawError CONFIG_INVALID for an address that is none, CLIENT_STORAGE_FAILED */
export async function openClaw(options: OpenClawOptions): Promise<Client> {
  if (options.gateways.length === 0) throw new OpenClawError("CONFIG_INVALID", "no gateway to dial");
  const privateKey = await generateKeyPair("Ed25519");
  const host = await createHost({
    identity: { privateKey, peer: peerIdFromPrivateKey(privateKey).toString() },
    listen: [],
    topics: [],
  });
  const stopping = new AbortController();
  const dialler = dialInTurn(options.gateways, systemClock, systemRandom, (node, signal) =>
    dialSync(host, node, signal),
  );
  return openClient({
    ...options,
    store: options.store ?? new MemoryClientStore(),
    clock: systemClock,
    random: systemRandom,
    nextTurn: systemTurn,
    inspection: inspectionWith(NODE_TOOLS),
    connect: async (ended) => childConnection(await dialler.dial(stopping.signal, ended)),
    gateways: () => dialler.states(),
    stopped: async () => {
      stopping.abort(new OpenClawError("STOPPED"));
      await host.stop();
    },
  });
}
