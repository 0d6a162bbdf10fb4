/** The page of a site: its quakes, and the shift log that all sites share. */
import wasmUrl from "@automerge/automerge/automerge.wasm?url";
import { openClaw, type Unsynced } from "@openclaw/browser";
import { announcer } from "./announcer.ts";
import { bindCursors } from "./cursors.ts";
import { demoHooks } from "./demo-hooks.ts";
import { showEdits } from "./edits.ts";
import { showElsewhere } from "./elsewhere-view.ts";
import { bindOutboxFile } from "./outbox-file.ts";
import { followQuakes } from "./quake-view.ts";
import { QUAKES_PREFIX } from "./quakes.ts";
import { registerWorker } from "./register-worker.ts";
import { bindTextarea } from "./shift-log.ts";
import { followSites } from "./site-switch.ts";
import { SITES_PREFIX } from "./sites.ts";
import { setText, showLink } from "./status-view.ts";
import { showSync } from "./sync-view.ts";
import { bindTheme } from "./theme.ts";
import { unsafeChanges } from "./unsafe-changes.ts";
import { showUnsafe, unsafeSentence } from "./unsafe-view.ts";

const COLLECTION = "shift-log";
const DOCUMENT = "main";
/** Between two tries to open at the very first visit, while no gateway answers, ms. */
const RETRY_MS = 2_000;
/** What changes within it is shown at once, ms: laying out a long text takes its time. */
const SHOW_MS = 50;
/** The same for what is not yet safe, ms: it is not to flicker with every key that is on its way. */
const SHOW_UNSAFE_MS = 500;

function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${id}`);
  return found;
}

bindTheme(element("theme", HTMLSelectElement));
const link = element("link", HTMLElement);
const notice = element("notice", HTMLElement);
const tell = (error: unknown): void => {
  notice.hidden = false;
  notice.replaceChildren(error instanceof Error ? error.message : String(error));
  console.error(error);
};

registerWorker((takeOver) => {
  const button = document.createElement("button");
  button.textContent = "Reload";
  button.addEventListener("click", takeOver);
  notice.hidden = false;
  notice.replaceChildren("A new version of this page is ready.", button);
}).catch((error: unknown) => tell(new Error("This page will not open offline", { cause: error })));

async function open(): ReturnType<typeof openClaw> {
  for (;;) {
    try {
      return await openClaw({
        gateways: "/v1/gateways",
        automergeWasm: wasmUrl,
        subscribe: { prefixes: [QUAKES_PREFIX, SITES_PREFIX], collections: [COLLECTION], mirrors: true },
      });
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error) || error.code !== "UNAVAILABLE") throw error;
      setText(link, "No gateway answers; trying again");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** Runs `show` now, and after that once for all calls within a time. */
function seldom(ms: number, show: () => void): () => void {
  let waiting = false;
  show();
  return () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      show();
    }, ms);
  };
}

async function start(): Promise<void> {
  const client = await open();
  let lossTold: Error | null = null;
  let elsewhereTold: readonly Unsynced[] = [];
  const sync = {
    row: element("sync", HTMLElement),
    bar: element("sync-bar", HTMLProgressElement),
    text: element("sync-text", HTMLElement),
  };
  const status = (): void => {
    const now = client.status();
    showLink(link, now);
    showSync(sync, now);
    if (now.cluster !== null) {
      setText(element("site", HTMLElement), now.cluster);
      document.title = `${now.cluster} · OpenClaw`;
    }
    if (now.lastError?.code === "CLIENT_STORAGE_FAILED") tell(now.lastError);
    const { loss } = now.storage;
    if (loss !== null && loss !== lossTold) tell(loss);
    lossTold = loss;
    if (now.storage.elsewhere !== elsewhereTold) {
      elsewhereTold = now.storage.elsewhere;
      showElsewhere(element("elsewhere", HTMLElement), elsewhereTold);
    }
  };
  client.subscribe(status);
  status();
  const outboxPlaces = {
    save: element("outbox-save", HTMLButtonElement),
    take: element("outbox-take", HTMLInputElement),
  };
  bindOutboxFile(client, outboxPlaces, tell);

  const quakes = {
    rows: element("quakes", HTMLElement),
    count: element("quakes-count", HTMLElement),
    map: element("map", HTMLElement),
  };
  followQuakes(client, quakes).catch(tell);
  followSites(client, element("sites", HTMLElement));

  // Automerge is there by now; a static import would put it before everything else.
  const { LogDocument } = await import("./log-document.ts");
  const handle = await client.docs.open(COLLECTION, DOCUMENT, { initial: { text: "" } });
  const log = new LogDocument(handle);
  const area = element("log-text", HTMLTextAreaElement);
  const showText = bindTextarea(area, log, tell);
  const showCursors = bindCursors(client, handle, log, {
    area,
    overlay: element("cursors", HTMLElement),
    names: element("others", HTMLElement),
    name: element("name", HTMLInputElement),
  });
  handle.subscribe(
    seldom(SHOW_MS, () => {
      showText();
      showCursors();
      showEdits(element("edits", HTMLElement), log.shown());
    }),
  );
  const unsafePlaces = { title: element("unsafe", HTMLElement), list: element("unsafe-list", HTMLElement) };
  const announce = announcer(element("announcer", HTMLElement));
  handle.subscribe(
    seldom(SHOW_UNSAFE_MS, () => {
      const unsafe = unsafeChanges(log.notAtHub(), client.status().unsynced);
      const written = log.edits().length > 0;
      showUnsafe(unsafePlaces, unsafe, written);
      if (written) announce(unsafeSentence(unsafe));
    }),
  );
  globalThis.openclawDemo = demoHooks(client, log);
}

start().catch(tell);
