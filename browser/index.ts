/** OpenClaw in a browser: a client whose storage is IndexedDB and whose site is any of its gateways, over WebSocket. */
import type { Client, ClientOptions } from "@openclaw/core/client/client.ts";
import { SiteConnection } from "./connection.ts";
import { gatewaysOf, loadSite, type Site } from "./gateways.ts";
import { GuestStore } from "./guest-store.ts";
import { IndexedDbStore } from "./indexeddb-store.ts";
import { mirrorTurn, webLockClaims } from "./link-locks.ts";
import { browserClock, browserRandom, browserTurn } from "./ports.ts";
import { StorageWatch } from "./storage-watch.ts";

export type { Client, ClientStatus, StorageStatus } from "@openclaw/core/client/client.ts";
export type { DocumentHandle, EditState } from "@openclaw/core/client/document-handle.ts";
export type { Edit } from "@openclaw/core/client/edit.ts";
export type { KeyEvent, KeyRow } from "@openclaw/core/client/key-row.ts";
export type { Other, PresenceHandle } from "@openclaw/core/client/presence-handle.ts";
export type { Rung } from "@openclaw/core/client/store.ts";

export interface OpenClawOptions {
  /** The URL of a gateway's `/v1/gateways`, or multiaddrs such as `/dns4/edge-1.example/tcp/443/wss/p2p/12D3…`. */
  readonly gateways: string | readonly string[];
  /** Where Automerge's WebAssembly is; with Vite, `import url from "@automerge/automerge/automerge.wasm?url"`. */
  readonly automergeWasm: string;
  /** A bearer token, or what gives a fresh one at each connection; none where the site asks for none. */
  readonly token?: string | (() => Promise<string | null>);
  /** Of the database; unless given, the site's name where it is known, else `openclaw`. */
  readonly name?: string;
  /** What to mirror on this device from the start. */
  readonly subscribe?: NonNullable<ClientOptions["subscribe"]>;
  /** Reads carry the highest position seen, so that no gateway answers with less than this page has written or read. */
  readonly readYourWrites?: boolean;
}

/**
 * Opens what this device holds, online or not, and keeps in touch with the site from then on.
 * @throws OpenClawError CLIENT_STORAGE_FAILED; UNAVAILABLE at the first visit, when the gateways must be asked for and
 * none answers
 */
export async function openClaw(options: OpenClawOptions): Promise<Client> {
  const token = async (): Promise<string | null> =>
    typeof options.token === "function" ? options.token() : (options.token ?? null);
  // Nothing here waits for another: WebAssembly, libp2p, the client's own code and the list of gateways.
  const opening = loadClient(options.automergeWasm);
  opening.catch(() => undefined);
  let connection: SiteConnection | undefined;
  const site = await siteOf(options.gateways, await token(), (news) => connection?.setGateways(news.gateways));
  const gateways = new SiteConnection(site.gateways);
  connection = gateways;
  // Needed at the first connection only, which asks again if this fails.
  gateways.prepare().catch(() => undefined);

  const unfollow = new AbortController();
  const name = options.name ?? site.cluster ?? "openclaw";
  const [{ openClient }, turn] = await Promise.all([opening, mirrorTurn(name)]);
  const device = new IndexedDbStore(name);
  const watch = new StorageWatch(name, device, browserClock, navigator.storage as StorageManager | undefined);
  await watch.recognise();
  const client = await openClient({
    store: turn.now ? device : await GuestStore.open(device, turn.comes),
    storage: watch,
    clock: browserClock,
    random: browserRandom,
    nextTurn: browserTurn,
    connect: (ended) => gateways.connect(ended),
    gateways: () => gateways.states(),
    token,
    claim: webLockClaims(name),
    stopped: async () => {
      unfollow.abort();
      watch.stop();
      turn.release();
      await gateways.close();
    },
    ...(options.readYourWrites === undefined ? {} : { readYourWrites: options.readYourWrites }),
    ...(options.subscribe === undefined ? {} : { subscribe: options.subscribe }),
  });
  followNetwork(client, gateways, unfollow.signal);
  watch.follow(client, () => client.stop());
  return client;
}

async function siteOf(
  gateways: OpenClawOptions["gateways"],
  token: string | null,
  onNews: (site: Site) => void,
): Promise<Pick<Site, "gateways"> & { readonly cluster: string | null }> {
  if (typeof gateways === "string") return loadSite(gateways, token, onNews);
  return { cluster: null, gateways: gatewaysOf(gateways) };
}

/** The part that needs Automerge. Both are loaded at once; neither is in an app's first chunk. */
async function loadClient(automergeWasm: string): Promise<typeof import("@openclaw/core/client/open.ts")> {
  const client = import("@openclaw/core/client/open.ts");
  const { initializeWasm, isWasmInitialized } = await import("@automerge/automerge/slim");
  if (!isWasmInitialized()) await initializeWasm(automergeWasm);
  return client;
}

/** The browser knows before any time-out that the network is gone, or back. */
function followNetwork(client: Client, gateways: SiteConnection, signal: AbortSignal): void {
  const offline = (): void => {
    // A socket may outlive the announcement, and what is sent on it may even arrive: who is offline sends nothing.
    void gateways.drop();
    client.goOffline();
  };
  addEventListener("offline", offline, { signal });
  addEventListener("online", () => client.goOnline(), { signal });
  if (!navigator.onLine) offline();
}
