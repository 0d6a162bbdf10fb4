/** A page and its worker over a real `MessageChannel`, in one thread: whatever crosses is cloned, and comes in a later turn. */

import type { Gateway } from "@openclaw/browser/connection/gateways.ts";
import { browserClock } from "@openclaw/browser/ports.ts";
import type { DeviceIdentity, DeviceStore } from "@openclaw/browser/storage/device-store.ts";
import { WorkerClient, type WorkerOwner } from "@openclaw/browser/worker/worker-client.ts";
import { pageMessage, workerMessage } from "@openclaw/browser/worker/worker-message.ts";
import { type TabSite, WorkerService } from "@openclaw/browser/worker/worker-service.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";

/** A site that nobody reaches. */
const NO_SITE: TabSite = {
  connect: () => Promise.reject(new OpenClawError("UNAVAILABLE", "no site")),
  setGateways: () => undefined,
  states: () => [],
  drop: () => undefined,
  freeze: () => undefined,
  resume: () => undefined,
};

/** A device's store in memory, where nobody clears it. */
export class DeviceMemoryStore extends MemoryClientStore implements DeviceStore {
  async identity(): Promise<DeviceIdentity> {
    return { name: "memory", takenUp: 0, copied: false };
  }
}

export interface Page {
  readonly client: WorkerClient;
  /** Workers started so far. */
  started(): number;
  /** Ends the worker without a word; what it was doing goes on, and is not heard. */
  kill(): void;
}

/**
 * @param open what a worker that starts opens its store with
 * @param stop lets go of everything else
 */
export function pageOver(
  open: () => Promise<DeviceStore>,
  site: TabSite = NO_SITE,
  stop: () => Promise<void> = async () => undefined,
): Page {
  let started = 0;
  let kill = (): void => undefined;
  const begin = (_: readonly Gateway[], owner: WorkerOwner) => {
    started++;
    const { port1: page, port2: worker } = new MessageChannel();
    const service = new WorkerService(
      open(),
      site,
      (message, transfer) => worker.postMessage(message, [...transfer]),
      stop,
    );
    worker.onmessage = ({ data }) => {
      const message = pageMessage(data);
      if (message.kind !== "start") service.take(message);
    };
    page.onmessage = ({ data }) => owner.message(workerMessage(data));
    const end = (): void => {
      page.close();
      worker.close();
    };
    kill = () => {
      end();
      owner.died("killed");
    };
    return { post: (message: unknown) => page.postMessage(message), end };
  };
  const client = new WorkerClient([], begin, browserClock);
  return { client, started: () => started, kill: () => kill() };
}
