/** A cluster as its children and its parent see it: each member is a gateway, and its leader has the uplink. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { senderHash } from "@openclaw/core/history/mirror.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import type { Subscription } from "@openclaw/core/ledger/subscription.ts";
import type { Principal } from "@openclaw/core/sync/authority.ts";
import type { ParentBackend } from "@openclaw/core/sync/backend.ts";
import { childConnection, parentConnection } from "@openclaw/core/sync/connection.ts";
import type { ChildConnection } from "@openclaw/core/sync/message.ts";
import { ParentLink } from "@openclaw/core/sync/parent-link.ts";
import { Uplink } from "@openclaw/core/sync/uplink.ts";
import { Line } from "./line.ts";
import type { MemoryCluster, MemoryMember } from "./memory-cluster.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { sha256 } from "./sha256.ts";
import type { ProcessClock, VirtualClock } from "./virtual-clock.ts";

/** What of a cluster others see. */
export interface TierCluster {
  readonly cluster: MemoryCluster;
  /** Those that belong to it. */
  readonly group: readonly MemoryMember[];
}

/** What a child says of its own, and whose it is. */
export interface TierUp {
  /** As the configuration says when a member starts. */
  parent(): ClusterId;
  /** Who answers for that cluster now; null: nobody. */
  reach(parent: ClusterId): Tier | null;
  readonly subscription: Subscription;
  /** What its uplink sends, and what the parent streams to it. */
  shipped(items: readonly LinkItem[]): void;
  streamed(items: readonly LinkItem[]): void;
  /** A step of a snapshot passes. */
  steps?(way: "up" | "down"): void;
}

export interface TierOptions {
  readonly cluster: TierCluster;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly delayMs: number;
  /** Null: it has no parent. */
  readonly up: TierUp | null;
}

export interface Traffic {
  framesUp: number;
  bytesUp: number;
  framesDown: number;
  bytesDown: number;
}

function addTraffic(sum: Traffic, { child, parent }: Line): void {
  sum.framesUp += child.frames;
  sum.bytesUp += child.bytes;
  sum.framesDown += parent.frames;
  sum.bytesDown += parent.bytes;
}

const PROPOSE_MS_MAX = 10_000;
const BARRIER_MS_MAX = 5_000;

const anything = (): boolean => true;
export const ANYBODY: Principal = {
  name: "anybody",
  mayReadKey: anything,
  mayReadPrefix: anything,
  mayWriteKey: anything,
  mayWritePrefix: anything,
  mayReadDocument: anything,
  mayReadCollection: anything,
  mayWriteDocument: anything,
  expires: null,
};

export class Tier {
  readonly cluster: TierCluster;
  readonly #options: TierOptions;
  readonly #uplinks = new Map<MemoryMember, Uplink>();
  readonly #lines = new Map<MemoryMember, Set<Line>>();
  /** Those of the uplink. */
  readonly #up = new Set<Line>();
  #upCutUntil = 0;
  /** Of lines that are over. */
  readonly #carried: Traffic = { framesUp: 0, bytesUp: 0, framesDown: 0, bytesDown: 0 };

  constructor(options: TierOptions) {
    this.cluster = options.cluster;
    this.#options = options;
  }

  get id(): ClusterId {
    return this.cluster.cluster.id;
  }

  /** A member's stores are open. */
  ready(member: MemoryMember): void {
    const { up, random } = this.#options;
    if (up === null) return;
    const parent = up.parent();
    const uplink = new Uplink({
      replica: member.replica,
      cluster: this.id,
      parent,
      credential: new Uint8Array(1),
      subscription: up.subscription,
      clock: member.clock,
      random,
      sha256,
      limits: { bytesPerSecond: null, bytesPerDay: null },
      traffic: () => ({ sent: 0, received: 0 }),
      connect: async () => watched(this.#connectUp(up.reach(parent), member.clock), up),
    });
    this.#uplinks.set(member, uplink);
    uplink.start();
  }

  /** Of a member that was started. */
  uplinkOf(member: MemoryMember): Uplink | null {
    return this.#uplinks.get(member) ?? null;
  }

  /** What its children and it have sent each other so far. */
  get traffic(): Readonly<Traffic> {
    const sum = { ...this.#carried };
    for (const lines of this.#lines.values()) for (const line of lines) addTraffic(sum, line);
    return sum;
  }

  /** A member lost its power: so do the ends of lines that it has. @returns how many children it had */
  lost(member: MemoryMember): number {
    this.#uplinks.delete(member);
    const lines = [...(this.#lines.get(member) ?? [])];
    for (const line of lines) line.cut();
    return lines.length;
  }

  /** Nothing passes the uplink for so long. */
  cutUplink(ms: number): void {
    this.#upCutUntil = Math.max(this.#upCutUntil, this.#options.clock.now() + ms);
    for (const line of [...this.#up]) line.cut();
  }

  healUplink(): void {
    this.#upCutUntil = 0;
  }

  /** A line from `child` to one of the members. @throws OpenClawError UNAVAILABLE */
  connect(
    child: ProcessClock,
    over: () => void = () => {},
  ): { readonly connection: ChildConnection; readonly line: Line } {
    const { clock, random, delayMs } = this.#options;
    const members = this.cluster.group.filter(({ ready, failure }) => ready && failure === null);
    if (members.length === 0) throw new OpenClawError("UNAVAILABLE", `${this.id} is out of reach`);
    const member = random.pick(members);
    const lines = this.#linesOf(member);
    const line = new Line({
      clock,
      random,
      delayMs,
      child,
      parent: member.clock,
      over: () => {
        lines.delete(line);
        addTraffic(this.#carried, line);
        over();
      },
    });
    lines.add(line);
    new ParentLink({
      connection: parentConnection(line.parent),
      backend: this.#backend(member),
      clock: member.clock,
      remotePeer: "peer",
    });
    return { connection: childConnection(line.child), line };
  }

  #connectUp(parent: Tier | null, process: ProcessClock): ChildConnection {
    if (parent === null) throw new OpenClawError("UNAVAILABLE", "the parent is out of reach");
    if (this.#options.clock.now() < this.#upCutUntil) throw new OpenClawError("UNAVAILABLE", "the uplink is cut");
    const { connection, line } = parent.connect(process, () => this.#up.delete(line));
    this.#up.add(line);
    return connection;
  }

  #linesOf(member: MemoryMember): Set<Line> {
    const known = this.#lines.get(member);
    if (known !== undefined) return known;
    const lines = new Set<Line>();
    this.#lines.set(member, lines);
    return lines;
  }

  #backend({ replica }: MemoryMember): ParentBackend {
    return {
      authority: { authenticate: async () => ANYBODY },
      sha256,
      verifySite: async ({ cluster }) => ({ ...ANYBODY, name: `site:${cluster}` }),
      checkChanges: async () => null,
      propose: (command, principal) => replica.propose(command, { principal, timeoutMs: PROPOSE_MS_MAX }),
      keepAlive: (lease, principal) =>
        replica.execute({ kind: "leaseKeepAlive", lease }, { principal, timeoutMs: PROPOSE_MS_MAX }),
      barrier: () => replica.barrier(BARRIER_MS_MAX),
      read: (query) => replica.read(query),
      history: (query) => replica.history(query),
      senderHash: (link, at) => senderHash((question) => replica.history(question), link, at),
      ledger: (from, maxBytes) => replica.ledger(from, maxBytes),
      position: () => replica.position(),
      staleMs: () => replica.staleMs(),
      follow: (listener) => replica.follow(listener),
    };
  }
}

/** Whoever watches sees a frame as it leaves, and as it arrives. */
function watched(connection: ChildConnection, { shipped, streamed, steps }: TierUp): ChildConnection {
  return {
    send: (message) => {
      if (message.kind === "pushLedger") shipped(message.items);
      if (message.kind === "pushSnapshot") steps?.("up");
      return connection.send(message);
    },
    receive: (handlers) =>
      connection.receive({
        message: (message) => {
          if (message.kind === "events") streamed(message.items);
          if (message.kind === "snapshot") steps?.("down");
          handlers.message(message);
        },
        drained: () => handlers.drained(),
        closed: (reason) => handlers.closed(reason),
      }),
    close: () => connection.close(),
  };
}
