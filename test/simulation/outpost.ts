/**
 * A second child of the hub, of another make: it writes its ledger as no cluster of ours would, and still may. It deletes,
 * ships changes before what they depend on, and now and then sends again what it has sent, or leaves out a push.
 */
import { utf8 } from "@openclaw/core/bytes.ts";
import {
  type ClusterId,
  type Epoch,
  isClusterId,
  isLinkId,
  PARTITION,
  type Revision,
  revision,
} from "@openclaw/core/ids.ts";
import { chainHash, genesisHash, leafHash } from "@openclaw/core/ledger/chain.ts";
import type { LedgerEvent, LinkItem, RecordForm } from "@openclaw/core/ledger/record.ts";
import { encodeRecord, SALT_BYTES } from "@openclaw/core/ledger/record-codec.ts";
import type { Sha256, StoredRecord } from "@openclaw/core/ports.ts";
import { type ChildConnection, type ParentMessage, SYNC_VERSION } from "@openclaw/core/sync/message.ts";
import { FOREIGN_COLLECTION, FOREIGN_DOCUMENT, type ForeignChanges } from "./foreign-changes.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { Tier } from "./tier.ts";
import { ProcessClock, type VirtualClock } from "./virtual-clock.ts";

export const OUTPOST = "outpost";

export interface OutpostOptions {
  readonly hub: Tier;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly changes: ForeignChanges;
  readonly sha256: Sha256;
  readonly violation: (text: string) => void;
}

const THINK_MS = 700;
const RETRY_MS = 400;
const KEYS = 4;
/** Pushes that are sent before an answer is waited for, and revisions in each. */
const BURST = 3;
const PUSH_REVISIONS = 4;
/** It sends so many again, at most. */
const OVERLAP = 3;

const EPOCH: Epoch = { counter: 1, nonce: "cd".repeat(16), parent: null, departure: revision(0) };

export class Outpost {
  readonly ledger: StoredRecord[] = [];
  readonly #options: OutpostOptions;
  readonly #process: ProcessClock;
  readonly #items: LinkItem[] = [];
  readonly #keys = new Set<string>();
  /** Of another child of the hub, as the hub would have streamed them. */
  #echoes = 0;
  #connection: ChildConnection | null = null;
  /** The hub holds the ledger up to here, by its own word. */
  #cursor = 0;
  /** Pushes that were not answered. */
  #inFlight = 0;
  #ended = false;

  constructor(options: OutpostOptions) {
    this.#options = options;
    this.#process = new ProcessClock(options.clock);
    this.#think();
    this.#connect();
  }

  get settled(): boolean {
    return this.#ended && this.#cursor === this.ledger.length;
  }

  get shown(): string {
    return `${OUTPOST} revision ${this.ledger.length}, the hub holds ${this.#cursor}`;
  }

  /** Nothing new but what was held back. */
  end(): void {
    this.#ended = true;
    const rest = this.#options.changes.rest();
    if (rest.length > 0) this.#append(rest.map(changeEvent), false);
    this.#push();
  }

  #think(): void {
    const { clock, random } = this.#options;
    clock.after(1 + random.below(2 * THINK_MS), () => {
      if (this.#ended) return;
      this.#write();
      // What it wrote meanwhile is several pushes, one after the other.
      if (random.chance(0.3)) this.#push();
      this.#think();
    });
  }

  #write(): void {
    const { random, changes } = this.#options;
    const key = `o${random.below(KEYS)}`;
    const act = random.weighted([
      ["put", 3],
      ["delete", 2],
      ["change", 4],
      ["echo", 2],
    ] as const);
    if (act === "echo") return this.#append([put("e", String(++this.#echoes))], true);
    if (act === "change") {
      const next = changes.next();
      if (next.length > 0) this.#append(next.map(changeEvent), false);
    } else if (act === "delete" && this.#keys.delete(key)) this.#append([{ kind: "delete", key: utf8(key) }], false);
    else {
      this.#keys.add(key);
      this.#append([put(key, `${this.ledger.length + 1}`)], false);
    }
  }

  /** @param echo the hub brought it: it travels up as a skip (L5) */
  #append(events: readonly LedgerEvent[], echo: boolean): void {
    const { clock, random, sha256, hub } = this.#options;
    const at = revision(this.ledger.length + 1);
    const written = (of: Revision): RecordForm => ({
      partition: PARTITION,
      revision: of,
      time: Math.floor(clock.wall()),
      principal: "somebody",
      origin: null,
      link: null,
      salt: random.bytes(SALT_BYTES),
      home: "site",
      events,
    });
    const there = revision(this.#echoes);
    const record: RecordForm = echo
      ? {
          partition: PARTITION,
          revision: at,
          salt: random.bytes(SALT_BYTES),
          home: "site",
          origin: { cluster: hub.id, epoch: "ab".repeat(16), revision: there },
          link: nameOf(hub.id),
          body: encodeRecord(written(there)),
          took: null,
        }
      : written(at);
    const bytes = encodeRecord(record);
    const before = this.ledger.at(-1)?.hash ?? genesisHash(sha256, clusterOf(OUTPOST), PARTITION, EPOCH.nonce);
    const hash = chainHash(sha256, before, PARTITION, at, leafHash(sha256, bytes));
    this.ledger.push({ revision: at, record: bytes, hash });
    this.#items.push(echo ? { kind: "skip", from: at, to: at, hash } : { kind: "body", revision: at, record: bytes });
  }

  #connect(): void {
    const { hub, clock } = this.#options;
    const again = (): void => {
      clock.after(RETRY_MS, () => this.#connect());
    };
    let connection: ChildConnection;
    try {
      connection = hub.connect(this.#process).connection;
    } catch {
      return again();
    }
    let over = false;
    connection.receive({
      message: (message) => this.#received(connection, message),
      drained: () => undefined,
      closed: () => {
        if (over) return;
        over = true;
        this.#connection = null;
        again();
      },
    });
    this.#inFlight = 0;
    const cluster = clusterOf(OUTPOST);
    const at = revision(this.ledger.length);
    const child = {
      kind: "site",
      cluster,
      epoch: EPOCH,
      ancestors: [],
      revision: at,
      credential: new Uint8Array(1),
    } as const;
    connection.send({ kind: "hello", version: SYNC_VERSION, link: nameOf(OUTPOST), child, down: null });
  }

  #received(connection: ChildConnection, message: ParentMessage): void {
    switch (message.kind) {
      case "welcome":
        this.#connection = connection;
        this.#cursor = message.cursor;
        return this.#push();
      case "pushed":
      case "refused":
        // Whatever is wrong with a push, what it names is where the next one begins.
        if (message.kind === "refused" && message.code !== "GAP")
          this.#options.violation(`the hub refused ${OUTPOST}'s ledger: ${message.code} ${message.details}`);
        this.#cursor = message.cursor;
        this.#inFlight--;
        return this.#push();
      default:
        return;
    }
  }

  /** A burst of pushes, once those before are answered. */
  #push(): void {
    const { random } = this.#options;
    const connection = this.#connection;
    if (connection === null || this.#inFlight > 0 || this.#cursor === this.#items.length) return;
    let from = Math.max(0, this.#cursor - (random.chance(0.2) ? random.below(OVERLAP + 1) : 0));
    for (let i = 0; i < BURST && from < this.#items.length; i++) {
      const to = Math.min(this.#items.length, from + random.below(PUSH_REVISIONS + 1, 1));
      const last = this.ledger[to - 1];
      const leftOut = i === 0 && to < this.#items.length && random.chance(0.3);
      if (!leftOut && last !== undefined) {
        this.#inFlight++;
        const after = this.ledger[from - 1]?.hash ?? null;
        connection.send({ kind: "pushLedger", items: this.#items.slice(from, to), hash: last.hash, after });
      }
      from = to;
    }
  }
}

const put = (key: string, value: string): LedgerEvent => ({
  kind: "put",
  key: utf8(key),
  value: utf8(value),
  lease: null,
  numbers: null,
  encryption: null,
});

const changeEvent = (change: ReturnType<ForeignChanges["twin"]>): LedgerEvent => ({
  kind: "change",
  collection: FOREIGN_COLLECTION,
  document: FOREIGN_DOCUMENT,
  change,
  encryption: null,
});

function clusterOf(name: string): ClusterId {
  if (!isClusterId(name)) throw new Error(name);
  return name;
}

function nameOf(name: string) {
  if (!isLinkId(name)) throw new Error(name);
  return name;
}
