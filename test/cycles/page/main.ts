/// <reference types="vite/client" />
/** The page that is killed: it opens the shift log, edits when told to, and reports each badge as an app could show it. */
import wasmUrl from "@automerge/automerge/automerge.wasm?url";
import * as Automerge from "@automerge/automerge/slim";
import { type Client, openClaw } from "@openclaw/browser";
import { IndexedDbStore } from "@openclaw/browser/storage/indexeddb-store.ts";
import { utf8Text } from "@openclaw/core/bytes.ts";
import { allRows } from "@openclaw/core/client/outbox-row.ts";
import type { OutboxRow } from "@openclaw/core/client/store.ts";
import { type Badge, changeId, putId, type Sighting } from "../oracle.ts";

/** The oracle's ear, outside of this page. */
type Report = (sightings: readonly Sighting[]) => Promise<void>;

declare global {
  var cycleShown: Report;
  var cyclePage: CyclePage | undefined;
}

export type QueuedEdit = readonly [id: string, deps: readonly string[]];

export interface PageState {
  readonly link: string;
  readonly unsynced: number;
  readonly failed: number;
  readonly error: string;
  /** What the app is told of a database that was lost. */
  readonly loss: string | null;
}

export interface CyclePage {
  /** One change of the log. */
  type(text: string): void;
  put(key: string, value: string): void;
  /** Changes, of those named, that the log here does not have. */
  missing(hashes: readonly string[]): readonly string[];
  /** Edits that wait on this device, in any session's outbox, each with the changes that it depends on. */
  queued(): Promise<readonly QueuedEdit[]>;
  /** The name of this device's database: drawn when it was made. */
  database(): Promise<string>;
  /** Changes, of those named, that are not known to be at the hub. */
  below(hashes: readonly string[]): readonly string[];
  state(): PageState;
  /** Both clocks of the page go on from so much later, or earlier. */
  jump(ms: number): void;
}

export const COLLECTION = "shift-log";
export const DOCUMENT = "main";
const DATABASE = "cycles";

async function start(): Promise<CyclePage> {
  const client = await openClaw({
    gateways: "/v1/gateways",
    automergeWasm: wasmUrl,
    name: DATABASE,
    subscribe: { collections: [COLLECTION] },
  });
  const log = await client.docs.open(COLLECTION, DOCUMENT, { initial: { text: "" } });
  const told = new Map<string, Badge>();
  const show = (): void => {
    const news: Sighting[] = [];
    for (const { hash, rung, failure } of log.edits()) {
      const badge = failure === null ? (rung ?? "made") : "refused";
      if (told.get(hash) === badge) continue;
      told.set(hash, badge);
      news.push([changeId(hash), badge]);
    }
    if (news.length > 0) void cycleShown(news);
  };
  log.subscribe(show);
  show();
  return {
    type(text) {
      const { hashes, device } = log.change((doc) => Automerge.splice(doc, ["text"], doc.text.length, 0, text));
      // An app may wait for this promise instead of looking at the rungs: it must not resolve earlier either.
      void device.then(() => cycleShown(hashes.map((hash): Sighting => [changeId(hash), "device"])));
    },
    put: (key, value) => follow(client, key, value),
    missing(hashes) {
      const here = new Set<string>(Automerge.topoHistoryTraversal(log.doc()));
      return hashes.filter((hash) => !here.has(hash));
    },
    queued: () => withStore(queued),
    database: () => withStore(async (store) => (await store.identity()).name),
    below(hashes) {
      const own = new Map<string, string | null>(log.edits().map(({ hash, rung }) => [hash, rung]));
      return hashes.filter((hash) => own.has(hash) && own.get(hash) !== "hub");
    },
    state() {
      const { link, unsynced, failed, lastError, storage } = client.status();
      const { loss } = storage;
      const told = loss === null ? null : `${loss.code}: ${loss.details}`;
      return { link, unsynced, failed, error: String(lastError), loss: told };
    },
    jump(ms) {
      for (const clock of [Date, performance]) {
        const now = clock.now.bind(clock);
        clock.now = () => now() + ms;
      }
    },
  };
}

function follow(client: Client, key: string, value: string): void {
  const tell = (badge: Badge): void => void cycleShown([[putId(key), badge]]);
  const edit = client.kv.put(key, value);
  tell("made");
  edit.device.then(() => tell("device"));
  edit.site.then(
    () => tell("site"),
    () => edit.failure() !== null && tell("refused"),
  );
  edit.hub().then(
    () => tell("hub"),
    // What failed at the site was told above.
    () => undefined,
  );
}

/** As it is stored, not as the client has it in memory. */
async function withStore<T>(read: (store: IndexedDbStore) => Promise<T>): Promise<T> {
  const store = new IndexedDbStore(DATABASE);
  try {
    return await read(store);
  } finally {
    await store.close();
  }
}

async function queued(store: IndexedDbStore): Promise<readonly QueuedEdit[]> {
  const rows: OutboxRow[] = [];
  for (const link of await store.outboxLinks()) rows.push(...(await allRows(store, link)));
  return rows.flatMap(({ command }): readonly QueuedEdit[] => {
    if (command.kind === "put") return [[putId(utf8Text(command.key) ?? ""), []]];
    if (command.kind !== "change") return [];
    return command.changes.map(({ hash, deps }) => [changeId(hash), deps.map(changeId)]);
  });
}

globalThis.cyclePage = await start();
