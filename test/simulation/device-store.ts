/** A client's storage on its device: writes take their time, and one under way when the process dies may be lost. */
import type { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import type { ClientStore, ClientWrite } from "@openclaw/core/client/store.ts";
import type { LinkId, Seq } from "@openclaw/core/ids.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { ProcessClock } from "./virtual-clock.ts";

const WRITE_MS_MAX = 20;

export class DeviceStore implements ClientStore {
  readonly #disk: MemoryClientStore;
  readonly #process: ProcessClock;
  readonly #random: SeededRandom;
  /** In order, one after the other. */
  #waiting: { readonly write: ClientWrite; readonly done: () => void }[] = [];

  constructor(disk: MemoryClientStore, process: ProcessClock, random: SeededRandom) {
    this.#disk = disk;
    this.#process = process;
    this.#random = random;
  }

  write(write: ClientWrite): Promise<void> {
    return new Promise((done) => {
      this.#waiting.push({ write, done });
      if (this.#waiting.length === 1) this.#next();
    });
  }

  /** The process is gone. Of the writes under way the first ones are on the disk nevertheless, or none. */
  die(): void {
    for (const { write } of this.#waiting.slice(0, this.#random.below(this.#waiting.length + 1)))
      void this.#disk.write(write);
    this.#waiting = [];
  }

  outboxLinks(): ReturnType<ClientStore["outboxLinks"]> {
    return this.#disk.outboxLinks();
  }
  outbox(link: LinkId, from: Seq, limit: number): ReturnType<ClientStore["outbox"]> {
    return this.#disk.outbox(link, from, limit);
  }
  nextSeq(link: LinkId): Promise<Seq> {
    return this.#disk.nextSeq(link);
  }
  awaiting(): ReturnType<ClientStore["awaiting"]> {
    return this.#disk.awaiting();
  }
  failed(): ReturnType<ClientStore["failed"]> {
    return this.#disk.failed();
  }
  quarantined(): ReturnType<ClientStore["quarantined"]> {
    return this.#disk.quarantined();
  }
  document(collection: string, document: string): ReturnType<ClientStore["document"]> {
    return this.#disk.document(collection, document);
  }
  documents(collection: string): ReturnType<ClientStore["documents"]> {
    return this.#disk.documents(collection);
  }
  collections(): ReturnType<ClientStore["collections"]> {
    return this.#disk.collections();
  }
  mirror(...range: Parameters<ClientStore["mirror"]>): ReturnType<ClientStore["mirror"]> {
    return this.#disk.mirror(...range);
  }
  mirrored(): ReturnType<ClientStore["mirrored"]> {
    return this.#disk.mirrored();
  }
  down(): ReturnType<ClientStore["down"]> {
    return this.#disk.down();
  }
  async close(): Promise<void> {}

  #next(): void {
    this.#process.after(1 + this.#random.below(WRITE_MS_MAX), () => {
      const first = this.#waiting.shift();
      if (first === undefined) return;
      void this.#disk.write(first.write).then(first.done);
      if (this.#waiting.length > 0) this.#next();
    });
  }
}
