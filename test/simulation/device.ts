/** A device with a client on it: it edits keys and documents offline and online, dies, and comes back to what it stored. */
import "@automerge/automerge";
import { inspection } from "@openclaw/browser/worker/plain-inspection.ts";
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import type { Edit } from "@openclaw/core/client/edit.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { openClient } from "@openclaw/core/client/open.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ChangeHash } from "@openclaw/core/ids.ts";
import type { History } from "./checkers/history.ts";
import type { Rung } from "./checkers/rung.ts";
import { DeviceStore } from "./device-store.ts";
import type { FaultCounts } from "./faults.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { Tier } from "./tier.ts";
import type { Trace } from "./trace.ts";
import { ProcessClock, type VirtualClock } from "./virtual-clock.ts";

export const COLLECTION = "shared";
export const DOCUMENTS = ["orders", "notes"];

export interface DeviceOptions {
  readonly name: string;
  readonly tier: Tier;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly history: History;
  readonly faults: FaultCounts;
  readonly trace: Trace;
  readonly violation: (text: string) => void;
  readonly keys: number;
  /** All of their collection, or those that it opens, one by one: all of them. */
  readonly documents: "whole" | "opened";
  /** Is told what this device has on the rung hub; null where there is none above. */
  readonly rung: Rung | null;
}

interface Content {
  items: Record<string, string>;
}

const THINK_MS = 900;
/** What an edit may end with besides its outcome: whether it took effect is unknown then. */
const EXPECTED = new Set([
  "UNAVAILABLE",
  "STOPPED",
  "OVERLOADED",
  "SESSION_EXPIRED",
  "DIVERGED",
  "CLIENT_STORAGE_FAILED",
]);

export class Device {
  /** Changes that the site acknowledged, by document. */
  readonly acknowledged = new Map<string, Set<ChangeHash>>(DOCUMENTS.map((document) => [document, new Set()]));
  readonly name: string;
  readonly #options: DeviceOptions;
  #disk = new MemoryClientStore();
  #store: DeviceStore | null = null;
  #process: ProcessClock;
  #client: Client | null = null;
  readonly #known = new Map<string, number>();
  #lastValue = 0;
  /** This session has opened every document. */
  #isFollowing = false;
  #ended = false;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.name = options.name;
    this.#process = new ProcessClock(options.clock);
    this.start();
    this.#think();
  }

  /** Nothing of its own waits for its site. */
  get synced(): boolean {
    if (this.#client === null) return false;
    const { unsynced, link, sync } = this.#client.status();
    const isHere = this.#options.documents === "whole" || (this.#isFollowing && sync.kind === "streaming");
    return unsynced === 0 && link === "online" && isHere;
  }

  get tier(): Tier {
    return this.#options.tier;
  }

  /** The ledger of its cluster is taken up to here. */
  get cursor(): number {
    return this.#client?.status().cursor ?? 0;
  }

  /** For whoever wonders. */
  get shown(): string {
    return JSON.stringify(this.#client?.status() ?? null);
  }

  /** Begins a session, unless there is one. */
  start(): void {
    if (this.#store !== null) return;
    const { clock, random, tier, faults, trace, name, documents } = this.#options;
    const process = new ProcessClock(clock);
    const store = new DeviceStore(this.#disk, process, random);
    this.#process = process;
    this.#store = store;
    trace.tell(name, "begins a session");
    openClient({
      store,
      clock: process,
      random,
      nextTurn: () => new Promise((resolve) => process.after(0, resolve)),
      inspection,
      connect: async (ended) => {
        await new Promise<void>((resolve) => process.after(5, resolve));
        if (ended !== null && (this.#client?.status().unsynced ?? 0) > 0) faults.count("client retry");
        return tier.connect(process).connection;
      },
      subscribe: { prefixes: ["d"], collections: documents === "whole" ? [COLLECTION] : [], mirrors: true },
    }).then(
      (client) => {
        if (this.#store !== store) return;
        this.#client = client;
        if (documents === "opened") this.#follow(client);
      },
      (error: unknown) => this.#options.violation(`${name} does not open: ${String(error)}`),
    );
  }

  /** Of every document, which the stream brings one by one from then on. */
  #follow(client: Client): void {
    const process = this.#process;
    this.#isFollowing = false;
    const opened = DOCUMENTS.map(async (document) => (await client.docs.open(COLLECTION, document)).close());
    Promise.all(opened).then(
      () => {
        if (!process.ended) this.#isFollowing = true;
      },
      (error: unknown) => {
        if (process.ended) return;
        this.#options.violation(`${this.name} opens no document: ${String(error)}`);
      },
    );
  }

  /** The process dies. @param evicted the browser drops its storage, too: what was on no other rung is gone */
  die(downMs: number, evicted: boolean): void {
    if (this.#store === null || this.#ended) return;
    const { faults, trace, clock, name } = this.#options;
    faults.count("client death");
    if (evicted) faults.count("browser storage eviction");
    trace.tell(name, evicted ? "dies, and its storage with it" : "dies");
    this.#process.end();
    this.#store.die();
    this.#store = null;
    this.#client = null;
    if (evicted) this.#disk = new MemoryClientStore();
    clock.after(downMs, () => this.start());
  }

  /** No more edits, and the session stays. */
  end(): void {
    this.#ended = true;
    this.start();
  }

  /** The changes of a document that are stored here. */
  async hashes(document: string): Promise<readonly ChangeHash[]> {
    return (await this.#disk.document(COLLECTION, document)).map(({ hash }) => hash);
  }

  #think(): void {
    this.#options.clock.after(1 + this.#options.random.below(2 * THINK_MS), () => {
      if (this.#ended) return;
      const client = this.#client;
      if (client !== null) this.#act(client);
      this.#think();
    });
  }

  #act(client: Client): void {
    const { random } = this.#options;
    const process = this.#process;
    const act = random.weighted([
      [() => this.#write(client), 5],
      [() => this.#read(client), 3],
      [() => this.#edit(client), 3],
    ] as const);
    act().catch((error: unknown) => {
      if (process.ended || (error instanceof OpenClawError && EXPECTED.has(error.code))) return;
      this.#options.violation(`${this.name}: ${error instanceof Error ? error.stack : String(error)}`);
    });
  }

  async #write(client: Client): Promise<void> {
    const { random, history, name, keys } = this.#options;
    const process = this.#process;
    const key = `d${random.below(keys)}`;
    const value = `${name} ${++this.#lastValue}`;
    const expected = random.chance(0.3) ? (this.#known.get(key) ?? 0) : null;
    const asked =
      expected === null ? ({ kind: "put", value } as const) : ({ kind: "compareAndSet", value, expected } as const);
    const answered = history.begin(name, key, asked);
    const edit = expected === null ? client.kv.put(key, value) : client.kv.compareAndSet(key, expected, value);
    try {
      this.#climbs(edit, process);
      const revision = await edit.site;
      if (!process.ended) answered({ kind: "wrote", revision });
    } catch (error) {
      if (!(error instanceof OpenClawError) || error.code !== "COMPARE_FAILED") throw error;
      if (!process.ended) answered({ kind: "differed" });
    }
  }

  async #read(client: Client): Promise<void> {
    const { random, history, name, keys } = this.#options;
    const process = this.#process;
    const key = `d${random.below(keys)}`;
    const answered = history.begin(name, key, { kind: "read" });
    const row = await client.kv.get(utf8(key), { consistency: "linearizable" });
    if (process.ended) return;
    this.#known.set(key, row?.modRevision ?? 0);
    answered({
      kind: "saw",
      row: row === null ? null : { value: utf8Text(row.value) ?? "", revision: row.modRevision },
      at: null,
    });
  }

  async #edit(client: Client): Promise<void> {
    const { random, name } = this.#options;
    const process = this.#process;
    const document = random.pick(DOCUMENTS);
    const handle = await client.docs.open<Content>(COLLECTION, document, { initial: { items: {} } });
    if (process.ended) return;
    const edit = handle.change((content) => {
      content.items[`${name} ${random.below(5)}`] = `${++this.#lastValue}`;
    });
    handle.close();
    this.#climbs(edit, process);
    await edit.site;
    if (process.ended) return;
    for (const hash of edit.hashes) this.acknowledged.get(document)?.add(hash);
  }

  #climbs(edit: Edit, process: ProcessClock): void {
    const { rung, name } = this.#options;
    if (rung === null) return;
    const told = async (): Promise<void> => {
      const at = await edit.site;
      await edit.hub();
      if (!process.ended) rung.told(name, at);
    };
    // What the site refused climbs no further; whoever made it is told.
    told().catch(() => undefined);
  }
}
