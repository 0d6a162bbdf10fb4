/** Starts a page's worker, and notices when it is gone, however that came about. */
import { browserClock } from "../ports.ts";
import { tabLock } from "../tabs/tab-names.ts";
import type { StartWorker } from "./worker-client.ts";
import { type PageMessage, workerMessage } from "./worker-message.ts";

/** A worker that has not begun by then never will, ms. */
const BEGUN_MS_MAX = 30_000;

/** @param name of the database */
export function workerStarter(name: string): StartWorker {
  return (gateways, owner) => {
    // Drawn for each worker, and kept nowhere: a duplicated tab has another one (D4).
    const tab = crypto.randomUUID();
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "openclaw" });
    const watching = new AbortController();
    const post = (message: PageMessage): void => worker.postMessage(message);
    const end = (): void => {
      cancel();
      watching.abort();
      worker.terminate();
    };
    const die = (why: string): void => {
      if (watching.signal.aborted) return;
      end();
      owner.died(why);
    };
    const cancel = browserClock.after(BEGUN_MS_MAX, () => die(`it did not begin within ${BEGUN_MS_MAX} ms`));
    worker.onerror = ({ message }) => die(message ?? "its code could not be loaded");
    worker.onmessageerror = () => die("a message of it could not be read");
    worker.onmessage = ({ data }: MessageEvent<unknown>) => {
      const message = workerMessage(data);
      if (message.kind === "ready") {
        cancel();
        // No event tells that a worker was ended from outside; the lock that it held does.
        navigator.locks
          .request(tabLock(name, tab), { signal: watching.signal }, () => die("it was ended"))
          // It was let go of before.
          .catch(() => undefined);
      }
      owner.message(message);
    };
    post({ kind: "start", tab, name, gateways });
    return { post, end };
  };
}
