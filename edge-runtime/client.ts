/** The client for Node.js programs: the same as in a browser, over TCP, and with its outbox in memory unless told where. */
// Gives core's Automerge its WebAssembly: both entries of the package share one instance.
import "@automerge/automerge";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import type { Client, ClientOptions } from "@openclaw/core/client/client.ts";
import { inspectionWith } from "@openclaw/core/client/inspection.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { openClient } from "@openclaw/core/client/open.ts";
import type { ClientStore } from "@openclaw/core/client/store.ts";
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
   * with the process, unless given. One client's at a time.
   */
  readonly store?: ClientOptions["store"];
}

/** Those that a client has. A second one would write its own mirror there, under the first one's place in the stream. */
const inUse = new WeakSet<ClientStore>();

/**
 * Opens a client of a site.
 * @throws OpenClawError CONFIG_INVALID: no gateway; DATA_IN_USE: another client has the store; CLIENT_STORAGE_FAILED
 */
export async function openClaw(options: OpenClawOptions): Promise<Client> {
  if (options.gateways.length === 0) throw new OpenClawError("CONFIG_INVALID", "no gateway to dial");
  const { store = new MemoryClientStore() } = options;
  if (inUse.has(store)) throw new OpenClawError("DATA_IN_USE", "another client has this store: each needs its own");
  inUse.add(store);
  try {
    return await openWith(store, options);
  } catch (error) {
    inUse.delete(store);
    throw error;
  }
}

async function openWith(store: ClientStore, options: OpenClawOptions): Promise<Client> {
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
  const stopped = async (): Promise<void> => {
    stopping.abort(new OpenClawError("STOPPED"));
    await host.stop();
    inUse.delete(store);
  };
  const opening = openClient({
    ...options,
    store,
    clock: systemClock,
    random: systemRandom,
    nextTurn: systemTurn,
    inspection: inspectionWith(NODE_TOOLS),
    connect: async (ended) => childConnection(await dialler.dial(stopping.signal, ended)),
    gateways: () => dialler.states(),
    stopped,
  });
  return opening.catch(async (error: unknown) => {
    await stopped();
    throw error;
  });
}
