/**
 * The store of a page beside another page of the same site. Both follow the site by themselves, and are not equally far: if
 * both wrote their mirror to the device, the one behind would put back what the other had, under the other's cursor. So one
 * page at a time keeps it, and the others have theirs in memory, until it is their turn. Edits, and the changes of documents,
 * are kept on the device by every page.
 */
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import type { ClientStore, ClientWrite } from "@openclaw/core/client/store.ts";
import type { LinkId, Seq } from "@openclaw/core/ids.ts";
import type { DeviceStore } from "./device-store.ts";
import type { IndexedDbStore } from "./indexeddb-store.ts";

export class GuestStore implements DeviceStore {
  readonly #device: IndexedDbStore;
  /** Null once this page keeps the mirror. */
  #own: MemoryClientStore | null;
  #isTurn = false;

  private constructor(device: IndexedDbStore, own: MemoryClientStore, turn: Promise<void>) {
    this.#device = device;
    this.#own = own;
    void turn.then(() => {
      this.#isTurn = true;
    });
  }

  /** Begins with the mirror that is on the device. @param turn resolves when nobody else keeps it any more */
  static async open(device: IndexedDbStore, turn: Promise<void>): Promise<GuestStore> {
    const own = new MemoryClientStore();
    const { mirror, down } = await device.standing();
    await own.write({ mirrorPuts: mirror, ...(down === null ? {} : { down }) });
    return new GuestStore(device, own, turn);
  }

  /** One at a time, as a client writes. */
  async write(write: ClientWrite): Promise<void> {
    if (this.#isTurn) await this.#keep();
    const own = this.#own;
    if (own === null) return this.#device.write(write);
    const { mirrorReset, mirrorPuts, mirrorDeletes, down, ...rest } = write;
    await this.#device.write(rest);
    if (down !== undefined) await this.#device.follows(down);
    await own.write({
      ...(mirrorReset === undefined ? {} : { mirrorReset }),
      ...(mirrorPuts === undefined ? {} : { mirrorPuts }),
      ...(mirrorDeletes === undefined ? {} : { mirrorDeletes }),
      ...(down === undefined ? {} : { down }),
    });
  }

  identity(): ReturnType<DeviceStore["identity"]> {
    return this.#device.identity();
  }
  outboxLinks(): ReturnType<ClientStore["outboxLinks"]> {
    return this.#device.outboxLinks();
  }
  outbox(link: LinkId, from: Seq, limit: number): ReturnType<ClientStore["outbox"]> {
    return this.#device.outbox(link, from, limit);
  }
  nextSeq(link: LinkId): Promise<Seq> {
    return this.#device.nextSeq(link);
  }
  awaiting(): ReturnType<ClientStore["awaiting"]> {
    return this.#device.awaiting();
  }
  failed(): ReturnType<ClientStore["failed"]> {
    return this.#device.failed();
  }
  quarantined(): ReturnType<ClientStore["quarantined"]> {
    return this.#device.quarantined();
  }
  document(collection: string, document: string): ReturnType<ClientStore["document"]> {
    return this.#device.document(collection, document);
  }
  documents(collection: string): ReturnType<ClientStore["documents"]> {
    return this.#device.documents(collection);
  }
  collections(): ReturnType<ClientStore["collections"]> {
    return this.#device.collections();
  }
  mirror(...range: Parameters<ClientStore["mirror"]>): ReturnType<ClientStore["mirror"]> {
    return (this.#own ?? this.#device).mirror(...range);
  }
  mirrored(): ReturnType<ClientStore["mirrored"]> {
    return (this.#own ?? this.#device).mirrored();
  }
  down(): ReturnType<ClientStore["down"]> {
    return (this.#own ?? this.#device).down();
  }
  close(): Promise<void> {
    return this.#device.close();
  }

  /** In one write, in the place of what the page before left. */
  async #keep(): Promise<void> {
    const down = (await this.#own?.down()) ?? null;
    // Without a place in the stream there is nothing yet that a mirror could be of.
    if (this.#own === null || down === null) return;
    await this.#device.write({ mirrorReset: true, mirrorPuts: await this.#own.mirrored(), down });
    this.#own = null;
  }
}
