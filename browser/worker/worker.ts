/**
 * The worker of one page: the device's store, and streams to the site. It starts with what the page's first message says,
 * and ends with the page.
 */
import { InvariantViolation } from "@openclaw/core/errors.ts";
import type { DeviceStore } from "../storage/device-store.ts";
import { GuestStore } from "../storage/guest-store.ts";
import { IndexedDbStore } from "../storage/indexeddb-store.ts";
import { type MirrorTurn, mirrorTurn } from "../tabs/link-locks.ts";
import { LoadedTabSite } from "../tabs/loaded-tab-site.ts";
import { tabLock } from "../tabs/tab-names.ts";
import { type PageMessage, pageMessage, type WorkerMessage } from "./worker-message.ts";
import { type PostToPage, WorkerService } from "./worker-service.ts";

const post: PostToPage = (message: WorkerMessage, transfer) => postMessage(message, { transfer: [...transfer] });

let service: WorkerService | null = null;

addEventListener("message", ({ data }: MessageEvent<unknown>) => {
  const message = pageMessage(data);
  if (message.kind !== "start") {
    if (service === null) throw new InvariantViolation(`${message.kind} before start`);
    service.take(message);
  } else {
    service = begin(message);
  }
});

function begin({ tab, name, gateways }: Extract<PageMessage, { kind: "start" }>): WorkerService {
  // Never let go of: who gets this lock knows that this worker is gone.
  void navigator.locks.request(tabLock(name, tab), () => {
    post({ kind: "ready" }, []);
    return new Promise(() => undefined);
  });
  const site = new LoadedTabSite(gateways, async () => {
    const { openTabSite } = await import("../tabs/open-tab-site.ts");
    return (known) => openTabSite(tab, name, known);
  });
  const turn = mirrorTurn(name);
  return new WorkerService(
    turn.then((its) => openStore(name, its)),
    site,
    post,
    async () => {
      (await turn).release();
      await site.close();
    },
  );
}

async function openStore(name: string, turn: MirrorTurn): Promise<DeviceStore> {
  const device = new IndexedDbStore(name, async () => (await import("./worker-copy.ts")).copyOpener(name));
  return turn.now ? device : GuestStore.open(device, turn.comes);
}
