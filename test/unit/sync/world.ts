/**
 * A world for tests of sync: clusters that commit at once, clients, and wires that deliver nothing until they are
 * flushed and may be cut at any frame. Every frame goes through the codec. Time is virtual.
 */
import { founding } from "@openclaw/core/raft/membership.ts";
import "@automerge/automerge";
import { inspection } from "@openclaw/browser/worker/plain-inspection.ts";
import { toHex } from "@openclaw/core/bytes.ts";
import type { Client, ClientOptions } from "@openclaw/core/client/client.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { openClient } from "@openclaw/core/client/open.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { HistoryAnswer, HistoryQuery } from "@openclaw/core/history/history-query.ts";
import { senderHash } from "@openclaw/core/history/mirror.ts";
import {
  type ClusterId,
  type Epoch,
  index,
  isClusterId,
  isLinkId,
  isNodeId,
  type LinkId,
  PARTITION,
  revision,
  term,
} from "@openclaw/core/ids.ts";
import { beginningOf } from "@openclaw/core/ledger/lineage.ts";
import type { LedgerEvent } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { Subscription } from "@openclaw/core/ledger/subscription.ts";
import type { Random } from "@openclaw/core/ports.ts";
import type { LedgerAdvance, ReplicaStatus } from "@openclaw/core/replica/contract.ts";
import type { CommandResult, Outcome, SystemCommand, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import type { Answer, Position, Query } from "@openclaw/core/state-machine/query.ts";
import type { Principal } from "@openclaw/core/sync/authority.ts";
import type { ParentBackend } from "@openclaw/core/sync/backend.ts";
import { childConnection, parentConnection } from "@openclaw/core/sync/connection.ts";
import type { ChildConnection } from "@openclaw/core/sync/message.ts";
import { ParentLink } from "@openclaw/core/sync/parent-link.ts";
import { Uplink } from "@openclaw/core/sync/uplink.ts";
import type { UplinkLimits } from "@openclaw/core/sync/uplink-budget.ts";
import type { UplinkReplica } from "@openclaw/core/sync/uplink-options.ts";
import { departedImage } from "../../simulation/departed-image.ts";
import type { Image } from "../../simulation/memory-image.ts";
import { MemoryStateStore } from "../../simulation/memory-state-store.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { settle, VirtualClock } from "../../simulation/virtual-clock.ts";
import { sha256 } from "../state-machine/one-cluster.ts";
import { ANYBODY } from "./anybody.ts";
import { type Doors, doors } from "./doors.ts";
import { Wire } from "./wire.ts";

export function clusterId(text: string): ClusterId {
  if (!isClusterId(text)) throw new Error(`no cluster: ${text}`);
  return text;
}

export function linkId(text: string): LinkId {
  if (!isLinkId(text)) throw new Error(`no link: ${text}`);
  return text;
}

/** A proposal that was lost is offered again after this long, as a replica does. */
const LOST_MS = 1_000;

interface Restored {
  readonly epoch: Epoch;
  readonly image: Image;
}

/** A cluster of one that commits at once: the state machine, the ledger, and nothing of Raft. */
export class TestCluster {
  readonly id: ClusterId;
  readonly epoch: Epoch;
  readonly #world: World;
  readonly #state: MemoryStateStore;
  readonly #listeners = new Set<(advance: LedgerAdvance) => void>();
  readonly #leadership = new Set<(status: ReplicaStatus) => void>();
  #position: Position | null = null;
  #applied = 0;
  /** Whole ms of virtual time that the log has counted. */
  #stamped = 0;
  #applying: Promise<unknown> = Promise.resolve();
  /** Every proposal that committed. */
  readonly proposals: (SystemCommand | UserCommand)[] = [];
  /** Events that this cluster itself wrote, in order. */
  readonly ledgerEvents: LedgerEvent[] = [];
  /** The next so many imports are lost at first: they commit behind the one that follows them, or after LOST_MS. */
  loseImports = 0;
  #lost: (() => void)[] = [];
  leads = true;
  /** Over every uplink that this cluster's leader had. */
  traffic = { sent: 0, received: 0 };
  uplink: Uplink | null = null;
  principal: (token: string | null) => Principal = () => ANYBODY;
  /** What a gateway that lags behind says of every link, if it does. */
  laggingLink: Answer<Extract<Query, { kind: "link" }>> | null = null;
  /** Hashes of changes that the check refuses. */
  readonly badChanges = new Set<string>();
  /** Sites that are let in. */
  readonly children = new Set<ClusterId>();
  readonly links = new Set<ParentLink>();
  /** Why children's connections ended, in order. */
  readonly ended: OpenClawError[] = [];

  constructor(world: World, name: string, nonce: string = toHex(world.random.bytes(16)), restored?: Restored) {
    this.#world = world;
    this.id = clusterId(name);
    this.epoch = restored?.epoch ?? { counter: 1, nonce, parent: null, departure: revision(0) };
    const options = { cluster: this.id, epoch: this.epoch, membership: founding([]) };
    this.#state = new MemoryStateStore(options, restored?.image);
  }

  /** Another cluster in a new epoch: this one's ledger up to `at`, as a restore of a backup makes it (L3). */
  async restored(at: number, nonce: string = toHex(this.#world.random.bytes(16))): Promise<TestCluster> {
    const records = (await this.ledger(revision(1), Number.MAX_SAFE_INTEGER)).records.slice(0, at);
    const before = this.position();
    const departure = revision(at);
    const epoch = { counter: before.epoch.counter + 1, nonce, parent: before.epoch.nonce, departure };
    const beginning = beginningOf(sha256, this.id, PARTITION, before);
    const image = departedImage(this.id, before, epoch, records, beginning, []);
    return new TestCluster(this.#world, this.id, nonce, { epoch, image }).start();
  }

  /** The same cluster once more, with all that it has, as a copied disk makes it. */
  async cloned(): Promise<TestCluster> {
    this.#state.checkpointNow();
    const clone = new TestCluster(this.#world, this.id, this.epoch.nonce, {
      epoch: this.epoch,
      image: this.#state.durable,
    });
    clone.#applied = this.#applied;
    return clone.start();
  }

  async start(): Promise<this> {
    this.#position = (await this.#state.open()).position;
    return this;
  }

  position(): Position {
    if (this.#position === null) throw new Error("not started");
    return this.#position;
  }

  async execute(command: UserCommand): Promise<Outcome> {
    const result = await this.#commit(command, "tester");
    if (result.kind !== "outcome") throw new Error(result.kind);
    return result.outcome;
  }

  propose(command: SystemCommand, { principal }: { principal: string }): Promise<CommandResult> {
    const isImport = command.kind === "importCommands" || command.kind === "importLedger";
    if (isImport && this.loseImports > 0) {
      this.loseImports--;
      const lost = new Promise<CommandResult>((resolve) =>
        this.#lost.push(() => resolve(this.#commit(command, principal))),
      );
      this.#world.clock.after(LOST_MS, () => this.#findLost());
      return lost;
    }
    const result = this.#commit(command, principal);
    this.#findLost();
    return result;
  }

  #findLost(): void {
    for (const go of this.#lost.splice(0)) go();
  }

  #commit(command: SystemCommand | UserCommand, principal: string): Promise<CommandResult> {
    const run = async (): Promise<CommandResult> => {
      this.proposals.push(command);
      const header = {
        principal,
        time: Math.trunc(this.#world.clock.wall()),
        salt: this.#world.random.bytes(16),
        request: 1,
        proposer: "0".repeat(16),
        session: null,
      };
      const data = encodeCommands([{ ...command, header }]);
      // T1: as one leader stamps that leads from the start.
      const stamp = Math.trunc(this.#world.clock.now()) - this.#stamped;
      this.#stamped += stamp;
      const applied = await this.#state.apply([
        { term: term(1), index: index(++this.#applied), kind: "commands", stamp, data },
      ]);
      this.#position = applied.position;
      for (const { record } of applied.records) {
        const { origin, events } = decodeRecord(record);
        if (origin === null) this.ledgerEvents.push(...events);
      }
      const { revision: at, parentHolds } = applied.position;
      const advance = { records: applied.records, revision: at, parentHolds };
      for (const listener of [...this.#listeners]) listener(advance);
      const [first] = applied.results;
      if (first === undefined) throw new Error("no result");
      return first.result;
    };
    const committed = this.#applying.then(run);
    this.#applying = committed.catch(() => undefined);
    return committed;
  }

  async barrier(): Promise<void> {
    await this.#applying;
  }

  async read<Q extends Query>(query: Q): Promise<Answer<Q>> {
    if (query.kind === "link" && this.laggingLink !== null) return this.laggingLink as Answer<Q>;
    return this.#state.read(query);
  }

  history<Q extends HistoryQuery>(query: Q): Promise<HistoryAnswer<Q>> {
    return this.#state.history(query);
  }

  ledger(from: ReturnType<typeof revision>, maxBytes: number): ReturnType<MemoryStateStore["ledger"]> {
    return this.#state.ledger(from, maxBytes);
  }

  follow(listener: (advance: LedgerAdvance) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onLeadership(listener: (status: ReplicaStatus) => void): () => void {
    this.#leadership.add(listener);
    return () => this.#leadership.delete(listener);
  }

  status(): ReplicaStatus {
    const node = `${this.id}-1`;
    if (!isNodeId(node)) throw new Error(node);
    // Only what the uplink looks at.
    return { id: node, role: this.leads ? "leader" : "follower" } as ReplicaStatus;
  }

  lead(leads: boolean): void {
    this.leads = leads;
    for (const listener of [...this.#leadership]) listener(this.status());
  }

  get backend(): ParentBackend {
    return {
      authority: { authenticate: async (token) => this.principal(token) },
      verifySite: async ({ cluster }) => {
        if (!this.children.has(cluster)) throw new OpenClawError("UNKNOWN_CHILD", cluster);
        return { ...ANYBODY, name: `site:${cluster}` };
      },
      checkChanges: async (changes) => {
        const bad = changes.find(({ hash }) => this.badChanges.has(hash));
        return bad === undefined ? null : { code: "CHANGE_INVALID", details: bad.hash };
      },
      propose: (command, principal) => this.propose(command, { principal }),
      keepAlive: (lease) => this.execute({ kind: "leaseKeepAlive", lease }),
      barrier: () => this.barrier(),
      read: (query) => this.read(query),
      history: (query) => this.history(query),
      sha256,
      senderHash: (link, at) => senderHash((question) => this.#state.history(question), link, at),
      ledger: (from, maxBytes) => this.ledger(from, maxBytes),
      position: () => this.position(),
      staleMs: () => 7,
      follow: (listener) => this.follow(listener),
    };
  }

  /** A new connection to this cluster, as a child has it; counts its bytes. */
  connect(traffic = { sent: 0, received: 0 }): ChildConnection {
    if (this.#world.unreachable.has(this.id)) throw new OpenClawError("UNAVAILABLE", `${this.id} is out of reach`);
    const wire = new Wire();
    this.#world.wires.add(wire);
    const link = new ParentLink({
      connection: parentConnection(wire.parent),
      backend: this.backend,
      ...this.#world.doors,
      remotePeer: "peer",
      closed: (reason) => {
        this.links.delete(link);
        if (reason !== null) this.ended.push(reason);
      },
    });
    this.links.add(link);
    return childConnection({
      send: (frame) => {
        traffic.sent += frame.length;
        return wire.child.send(frame);
      },
      receive: (handlers) =>
        wire.child.receive({
          ...handlers,
          message: (frame) => {
            traffic.received += frame.length;
            handlers.message(frame);
          },
        }),
      close: () => wire.child.close(),
    });
  }

  async get(key: string, origin: string | null = null): Promise<string | null> {
    const from = origin === null ? null : clusterId(origin);
    const { row } = await this.read({ kind: "get", origin: from, key: new TextEncoder().encode(key) });
    return row === null ? null : new TextDecoder().decode(row.value);
  }
}

export class World {
  readonly clock = new VirtualClock();
  doors: Doors = doors(this.clock);
  readonly random: Random;
  readonly wires = new Set<Wire>();
  readonly unreachable = new Set<ClusterId>();

  constructor(seed = 1) {
    this.random = new SeededRandom(seed);
  }

  cluster(name: string, nonce?: string): Promise<TestCluster> {
    return new TestCluster(this, name, nonce).start();
  }

  /** Makes `child` a site of `parent`. */
  uplink(
    replica: UplinkReplica,
    parent: TestCluster,
    subscription: Partial<Subscription> = {},
    limits: Partial<UplinkLimits> = {},
    child = replica as TestCluster,
  ): Uplink {
    parent.children.add(child.id);
    const uplink = new Uplink({
      replica,
      cluster: child.id,
      parent: parent.id,
      credential: new Uint8Array(1),
      subscription: { prefixes: [], collections: [], mirrors: false, ...subscription },
      clock: this.clock,
      random: this.random,
      sha256,
      limits: { bytesPerSecond: null, bytesPerDay: null, ...limits },
      traffic: () => child.traffic,
      connect: async () => parent.connect(child.traffic),
    });
    child.uplink = uplink;
    uplink.start();
    return uplink;
  }

  client(cluster: TestCluster, options: Partial<ClientOptions> = {}): Promise<Client> {
    return openClient({
      store: new MemoryClientStore(),
      clock: this.clock,
      random: this.random,
      nextTurn: () => Promise.resolve(),
      inspection,
      connect: async () => cluster.connect(),
      ...options,
    });
  }

  /** Delivers what is on its way, and what follows from it, until nothing moves. Time stands still. */
  async flush(): Promise<void> {
    await settle();
    for (let round = 0; round < 10_000; round++) {
      let moved = false;
      for (const wire of this.wires) {
        while (wire.deliver()) moved = true;
        if (!wire.open && wire.waiting === 0) this.wires.delete(wire);
      }
      await settle();
      if (!moved) return;
    }
    throw new Error("the world does not come to rest");
  }

  /** Delivers so many frames, or all there are. Time stands still. */
  async deliver(frames: number): Promise<void> {
    await settle();
    for (let left = frames; left > 0 && [...this.wires].some((wire) => wire.deliver()); left--) await settle();
  }

  /** Lets time pass, delivering everything as it goes. */
  async elapse(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    await this.flush();
    while (this.clock.step(until)) await this.flush();
  }

  cutAll(): void {
    for (const wire of [...this.wires]) wire.cut();
    this.wires.clear();
  }
}
