/** A device that drives from one site to another, and may die at any write: what it stored until then is there in its next life. */
import { utf8Text } from "@openclaw/core/bytes.ts";
import type { Client, ClientOptions } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import type { ClientWrite } from "@openclaw/core/client/store.ts";
import { type TestCluster, World } from "../sync/world.ts";
import { EMPTY, type Log } from "./log.ts";

/** Storage of one life: after so many writes nothing more is written, and nobody is answered. */
class MortalStore extends MemoryClientStore {
  readonly #disk: MemoryClientStore;
  writes = 0;
  writesLeft = Number.MAX_SAFE_INTEGER;

  constructor(disk: MemoryClientStore) {
    super();
    this.#disk = disk;
  }

  override async write(write: ClientWrite): Promise<void> {
    if (this.writesLeft === 0) return new Promise<void>(() => {});
    this.writes++;
    this.writesLeft--;
    await this.#disk.write(write);
  }
  override outboxLinks() {
    return this.#disk.outboxLinks();
  }
  override outbox(...page: Parameters<MemoryClientStore["outbox"]>) {
    return this.#disk.outbox(...page);
  }
  override nextSeq(...link: Parameters<MemoryClientStore["nextSeq"]>) {
    return this.#disk.nextSeq(...link);
  }
  override awaiting() {
    return this.#disk.awaiting();
  }
  override failed() {
    return this.#disk.failed();
  }
  override quarantined() {
    return this.#disk.quarantined();
  }
  override document(...name: Parameters<MemoryClientStore["document"]>) {
    return this.#disk.document(...name);
  }
  override documents(...collection: Parameters<MemoryClientStore["documents"]>) {
    return this.#disk.documents(...collection);
  }
  override collections() {
    return this.#disk.collections();
  }
  override mirror(...range: Parameters<MemoryClientStore["mirror"]>) {
    return this.#disk.mirror(...range);
  }
  override mirrored() {
    return this.#disk.mirrored();
  }
  override down() {
    return this.#disk.down();
  }
}

export class Van {
  readonly world: World;
  readonly disk = new MemoryClientStore();
  readonly #options: Partial<ClientOptions>;
  /** Whose gateways answer; null on the road. */
  at: TestCluster | null;
  #store = new MortalStore(this.disk);
  #client: Client | null = null;

  constructor(world: World, at: TestCluster, options: Partial<ClientOptions> = {}) {
    this.world = world;
    this.at = at;
    this.#options = { roaming: "documents", subscribe: { prefixes: [""] }, ...options };
  }

  static async between(options: Partial<ClientOptions> = {}, seed = 1) {
    const world = new World(seed);
    const [shop, depot] = [await world.cluster("shop"), await world.cluster("depot")];
    const van = new Van(world, shop, options);
    await van.wake();
    await world.elapse(2_000);
    return { world, shop, depot, van };
  }

  get client(): Client {
    if (this.#client === null) throw new Error("it is dead");
    return this.#client;
  }

  get store(): MortalStore {
    return this.#store;
  }

  /** A session of the same device beside the one that is. */
  another(options: Partial<ClientOptions> = {}): Promise<Client> {
    return this.#open(new MortalStore(this.disk), options);
  }

  /** A new session, of what the disk holds. */
  async wake(): Promise<Client> {
    this.#store = new MortalStore(this.disk);
    this.#client = await this.#open(this.#store, {});
    return this.#client;
  }

  /** The process is gone. What it was writing is written, or is not. */
  die(): void {
    this.#store.writesLeft = 0;
    this.#client?.goOffline();
    this.#client = null;
    this.world.cutAll();
  }

  /** Time passes on the road, and then at the site. */
  async drive(to: TestCluster | null, ms = 20_000): Promise<void> {
    this.at = null;
    this.world.cutAll();
    await this.world.elapse(1_000);
    this.at = to;
    await this.world.elapse(ms);
  }

  async open(id = "today"): Promise<DocumentHandle<Log>> {
    const opening = this.client.docs.open<Log>("log", id, { initial: EMPTY });
    await this.world.elapse(1_000);
    return opening;
  }

  #open(store: MortalStore, options: Partial<ClientOptions>): Promise<Client> {
    const connect = async () => {
      const { at } = this;
      if (at === null) throw new Error("nobody is there");
      return at.connect();
    };
    return this.world.client(this.at as TestCluster, { store, connect, ...this.#options, ...options });
  }
}

/** How often a site wrote each key, in its order. */
export function putsAt(site: TestCluster): Record<string, number> {
  const puts: Record<string, number> = {};
  for (const event of site.ledgerEvents) {
    const key = event.kind === "put" ? utf8Text(event.key) : undefined;
    if (key !== undefined) puts[key] = (puts[key] ?? 0) + 1;
  }
  return puts;
}

/** D6: hashes of the changes that a site has of a document, sorted. */
export async function hashesAt(site: TestCluster, id = "today"): Promise<readonly string[]> {
  const question = { kind: "document", collection: "log", document: id, after: 0, limit: 4_096 } as const;
  return (await site.read(question)).changes.map(({ hash }) => hash).sort();
}
