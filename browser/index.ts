/**
 * OpenClaw in a browser: a client whose storage is IndexedDB and whose site is any of its gateways, over WebSocket. Both are
 * kept by a worker; of several tabs one has the connection.
 */
import type { Client, ClientOptions } from "@openclaw/core/client/client.ts";
import { loadErrorTexts } from "@openclaw/core/error-texts-beside.ts";
import { besideLoader } from "./beside.ts";
import { gatewaysOf, loadSite, type Site } from "./connection/gateways.ts";
import { browserClock, browserDigest, browserRandom, browserTurn } from "./ports.ts";
import { assertSurroundings, surroundings } from "./requirements.ts";
import { Elsewhere } from "./storage/elsewhere.ts";
import { StorageWatch } from "./storage/storage-watch.ts";
import { webLockClaims } from "./tabs/link-locks.ts";
import { NewsChannel } from "./tabs/news-channel.ts";
import { WorkerClient } from "./worker/worker-client.ts";
import { workerStarter } from "./worker/worker-start.ts";

export type { Client, ClientStatus, StorageStatus, Unsynced } from "@openclaw/core/client/client.ts";
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
  /** Of the database; unless given, the site's name where it is known and the device does not roam, else `openclaw`. */
  readonly name?: string;
  /**
   * Whether this device's documents go along when a gateway of another site answers; `none`, unless given, refuses that with
   * WRONG_CLUSTER. Writes of keys wait for their own site either way.
   */
  readonly roaming?: NonNullable<ClientOptions["roaming"]>;
  /**
   * The domain of this site's gateways, such as `shop.example` of `gw1.shop.example` and `gw2.shop.example`: a page at one of them
   * then says what waits on this device at another (`status().storage.elsewhere`). Unless given, this host's other ports.
   */
  readonly sharedDomain?: string;
  /** What to mirror on this device from the start. */
  readonly subscribe?: NonNullable<ClientOptions["subscribe"]>;
  /** Reads carry the highest position seen, so that no gateway answers with less than this page has written or read. */
  readonly readYourWrites?: boolean;
  /** Snapshots of documents are frozen, so that who writes to one hears of it; in Vite's development server, unless given. */
  readonly freeze?: boolean;
}

/**
 * Opens what this device holds, online or not, and keeps in touch with the site from then on.
 * @throws OpenClawError INSECURE_CONTEXT, BROWSER_TOO_OLD; CLIENT_STORAGE_FAILED; UNAVAILABLE at the first visit, when the gateways must be asked for and
 * none answers
 */
export async function openClaw(options: OpenClawOptions): Promise<Client> {
  const token = async (): Promise<string | null> =>
    typeof options.token === "function" ? options.token() : (options.token ?? null);
  assertSurroundings(surroundings());
  loadTexts();
  // Nothing here waits for another: WebAssembly, the client's own code, the worker's and the list of gateways.
  const opening = loadClient(options.automergeWasm);
  opening.catch(() => undefined);
  let worker: WorkerClient | undefined;
  const site = await siteOf(options.gateways, await token(), (news) => worker?.setGateways(news.gateways));
  const { roaming = "none" } = options;
  const name = options.name ?? (roaming === "none" ? site.cluster : null) ?? "openclaw";
  const device = new WorkerClient(site.gateways, workerStarter(name), browserClock);
  worker = device;
  // Heard from before the store is read.
  const neighbours = new NewsChannel(name);
  const elsewhere = new Elsewhere({
    jar: document,
    location,
    database: name,
    domain: options.sharedDomain ?? null,
    clock: browserClock,
  });
  const persistence = navigator.storage as StorageManager | undefined;
  const watch = new StorageWatch(name, device.store, browserClock, persistence, elsewhere);
  const recognised = watch.recognise();
  recognised.catch(() => undefined);

  const transfer = besideLoader(
    "the code of exported outboxes",
    () => import("@openclaw/core/client/outbox-transfer.ts"),
  );
  const online = besideLoader("the code for a connection", () => import("@openclaw/core/client/online.ts"));
  // Asked for while the store is read: the first connection waits for both.
  opening.then(online).catch(() => undefined);
  const unfollow = new AbortController();
  const opened = Promise.all([opening, recognised]).then(([{ restoreClient }]) =>
    restoreClient(
      {
        store: device.store,
        storage: watch,
        clock: browserClock,
        random: browserRandom,
        nextTurn: browserTurn,
        inspection: device.inspection,
        connect: (ended) => {
          loadTexts();
          return device.connect(ended);
        },
        gateways: () => device.states(),
        token,
        claim: webLockClaims(name),
        neighbours,
        stopped: async () => {
          unfollow.abort();
          watch.stop();
          await device.stop();
        },
        freeze: options.freeze ?? isDevelopment(),
        roaming,
        ...(options.readYourWrites === undefined ? {} : { readYourWrites: options.readYourWrites }),
        ...(options.subscribe === undefined ? {} : { subscribe: options.subscribe }),
      },
      { transfer, online },
      browserDigest,
    ),
  );
  // A page that cannot open may try again, with a worker of its own.
  opened.catch(() => {
    neighbours.close();
    return device.stop();
  });
  const client = await opened;
  // Once here it is here offline, too: that is when an outbox is exported.
  transfer().catch(() => undefined);
  followPage(client, device, neighbours, watch, unfollow.signal);
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

/** Nobody waits for them: without them an error says its code. What failed is tried again at the next connection. */
const loadTexts = (): void => void loadErrorTexts().catch(() => undefined);

/** The part that needs Automerge. Both are loaded at once; neither is in an app's first chunk. */
async function loadClient(automergeWasm: string): Promise<typeof import("@openclaw/core/client/restore.ts")> {
  const client = import("@openclaw/core/client/restore.ts");
  const { initializeWasm, isWasmInitialized } = await import("@automerge/automerge/slim");
  if (!isWasmInitialized()) await initializeWasm(automergeWasm);
  return client;
}

/** What the browser says of the network and of this page, it knows before any time-out. */
function followPage(
  client: Client,
  device: WorkerClient,
  neighbours: NewsChannel,
  watch: StorageWatch,
  signal: AbortSignal,
): void {
  const offline = (): void => {
    // A socket may outlive the announcement, and what is sent on it may even arrive: who is offline sends nothing.
    device.drop();
    client.goOffline();
  };
  addEventListener("offline", offline, { signal });
  addEventListener("online", () => client.goOnline(), { signal });
  if (!navigator.onLine) offline();
  const visible = (): void => {
    watch.look();
    // Somebody looks: a wait between two tries ends. Who was told to stay offline does.
    if (document.visibilityState === "visible" && client.status().link === "connecting") client.goOnline();
  };
  document.addEventListener("visibilitychange", visible, { signal });
  const freeze = (): void => {
    device.freeze();
    neighbours.freeze();
  };
  const resume = (): void => {
    device.resume();
    neighbours.resume();
  };
  document.addEventListener("freeze", freeze, { signal });
  document.addEventListener("resume", resume, { signal });
}

/** In these very words, which Vite looks for. */
const isDevelopment = (): boolean => (import.meta as { readonly env?: { readonly DEV?: boolean } }).env?.DEV === true;
