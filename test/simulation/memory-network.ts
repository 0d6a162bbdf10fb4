/** Transports of one cluster in one process: each link has a delay, can be cut in one direction, and may be unreliable. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import type { Clock, SnapshotChunks, SnapshotHeader, Transport, TransportHandlers } from "@openclaw/core/ports.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { decodeMessages, encodeMessages } from "@openclaw/core/raft/message-codec.ts";
import type { Fault } from "./faults.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { ProcessClock } from "./virtual-clock.ts";

/** What a network does to messages besides carrying them. Shares of messages are from 0 to 1. */
export interface Unreliability {
  readonly lost: number;
  readonly repeated: number;
  /** Old messages that arrive once more. */
  readonly replayed: number;
  /** Held up for as long as `delayMs`. */
  readonly delayed: number;
  readonly delayMs: number;
  /** Up to this much is added to each delay, ms: messages overtake each other. */
  readonly jitterMs: number;
}

export const RELIABLE: Unreliability = { lost: 0, repeated: 0, replayed: 0, delayed: 0, delayMs: 0, jitterMs: 0 };

export interface NetworkOptions {
  readonly delayMs?: number;
  /** Needed for everything of `Unreliability`. */
  readonly random?: SeededRandom;
  readonly count?: (fault: Fault) => void;
  readonly sent?: (from: NodeId, to: NodeId, messages: readonly RaftMessage[]) => void;
  /** Every message travels as bytes, as between machines. */
  readonly encoded?: boolean;
}

/** What the transport of one node belongs to. */
interface Station {
  readonly process: ProcessClock | undefined;
  /** Called at each send; may end the process. */
  readonly point: () => void;
}

/** A snapshot's chunk takes that many times as long as a message. */
const CHUNK_SLOWNESS = 20;
/** How often the sender of a snapshot looks whether the receiver is still there, ms. */
const SNAPSHOT_LOOK_MS = 500;
/** Messages that may be replayed: the newest. */
const REMEMBERED_MAX = 256;

interface Sent {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly messages: readonly RaftMessage[];
}

export class MemoryNetwork {
  readonly #clock: Clock;
  readonly #options: NetworkOptions;
  readonly #nodes = new Map<NodeId, TransportHandlers>();
  readonly #stations = new Map<NodeId, Station>();
  /** By sender: those that do not hear it. */
  readonly #cut = new Map<NodeId, Set<NodeId>>();
  readonly #remembered: Sent[] = [];
  #nextRemembered = 0;
  /** Transfers under way, by receiver; true once an append came meanwhile. */
  readonly #transfers = new Map<NodeId, { raced: boolean }>();
  /** When the last message so far will arrive, by link. */
  readonly #latest = new Map<string, number>();
  /** The next chunk of a snapshot comes from another place of the sender's disk. */
  misdirectChunk = false;
  readonly delayMs: number;
  unreliability: Unreliability = RELIABLE;

  constructor(clock: Clock, options: NetworkOptions = {}) {
    this.#clock = clock;
    this.#options = options;
    this.delayMs = options.delayMs ?? 1;
  }

  /** Cuts `from` → `to`, one way. */
  cut(from: NodeId, to: NodeId): void {
    const deaf = this.#cut.get(from);
    if (deaf === undefined) this.#cut.set(from, new Set([to]));
    else deaf.add(to);
  }

  mend(from: NodeId, to: NodeId): void {
    this.#cut.get(from)?.delete(to);
  }

  isolate(node: NodeId): void {
    for (const other of this.#nodes.keys()) {
      this.cut(node, other);
      this.cut(other, node);
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  /** No link is cut. */
  get whole(): boolean {
    for (const deaf of this.#cut.values()) if (deaf.size > 0) return false;
    return true;
  }

  leave(node: NodeId): void {
    this.#nodes.delete(node);
  }

  /** @param process that of the node, if it may be stopped: what arrives meanwhile waits */
  transport(node: NodeId, process?: ProcessClock, point: () => void = () => {}): Transport {
    this.#stations.set(node, { process, point });
    let handlers: TransportHandlers | null = null;
    // What a node still does after it has left is not heard.
    const here = (): boolean => handlers === null || this.#nodes.get(node) === handlers;
    return {
      receive: (taken) => {
        handlers = taken;
        this.#nodes.set(node, taken);
      },
      send: (to, messages) => {
        if (here()) point();
        if (here()) this.#send({ from: node, to, messages });
      },
      sendSnapshot: (to, header, chunks) =>
        this.#sendSnapshot(() => here() && this.#reaches(node, to), to, header, chunks),
    };
  }

  #reaches(from: NodeId, to: NodeId): boolean {
    return this.#cut.get(from)?.has(to) !== true && this.#nodes.has(to);
  }

  #send(sent: Sent): void {
    const { from, to, messages } = sent;
    this.#options.sent?.(from, to, messages);
    if (!this.#reaches(from, to)) return;
    const message = this.#options.encoded === true ? encodeMessages(messages) : messages;
    const { random } = this.#options;
    if (random === undefined || this.unreliability === RELIABLE) return this.#carry(sent, message, this.delayMs);
    const { lost, repeated, replayed, delayed, delayMs } = this.unreliability;
    if (lost > 0 && random.chance(lost)) return this.#count("message loss");
    let ms = this.#jittered(random);
    if (delayed > 0 && random.chance(delayed)) {
      ms += random.below(delayMs);
      this.#count("delay");
    }
    this.#noteOrder(from, to, ms);
    this.#carry(sent, message, ms);
    if (repeated > 0 && random.chance(repeated)) {
      this.#count("duplication");
      this.#carry(sent, message, this.#jittered(random));
    }
    if (replayed === 0) return;
    this.#remembered[this.#nextRemembered] = sent;
    this.#nextRemembered = (this.#nextRemembered + 1) % REMEMBERED_MAX;
    if (!random.chance(replayed)) return;
    const old = random.pick(this.#remembered);
    this.#count("replay of old messages");
    this.#carry(old, old.messages, this.#jittered(random));
  }

  #jittered(random: SeededRandom): number {
    const { jitterMs } = this.unreliability;
    return jitterMs === 0 ? this.delayMs : this.delayMs + random.below(jitterMs + 1);
  }

  #noteOrder(from: NodeId, to: NodeId, ms: number): void {
    const link = `${from}>${to}`;
    const at = this.#clock.now() + ms;
    const latest = this.#latest.get(link) ?? 0;
    if (at < latest) this.#count("reorder");
    else this.#latest.set(link, at);
  }

  #carry({ from, to }: Sent, message: Uint8Array | readonly RaftMessage[], ms: number): void {
    this.#clock.after(ms, () => {
      if (this.#cut.get(from)?.has(to) === true) return;
      const messages = message instanceof Uint8Array ? decodeMessages(message) : message;
      this.#arrived(to, messages);
    });
  }

  #arrived(to: NodeId, messages: readonly RaftMessage[]): void {
    const target = this.#nodes.get(to);
    if (target === undefined) return;
    const transfer = this.#transfers.get(to);
    if (transfer?.raced === false && messages.some((m) => m.kind === "append" && m.entries.length > 0)) {
      transfer.raced = true;
      this.#count("snapshot racing with appends");
    }
    const process = this.#stations.get(to)?.process;
    if (process === undefined) target.messages(messages);
    else process.run(() => target.messages(messages));
  }

  async #sendSnapshot(open: () => boolean, to: NodeId, header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> {
    const unreachable = new OpenClawError("UNAVAILABLE", `${to} cannot be reached`);
    const target = this.#nodes.get(to);
    const reached = (): boolean => open() && this.#nodes.get(to) === target;
    if (target === undefined || !reached()) throw unreachable;
    const clock = this.#clock;
    const { random } = this.#options;
    const slowMs = this.unreliability.jitterMs * CHUNK_SLOWNESS;
    const delay = (): number => this.delayMs + Math.floor((random?.unit() ?? 0) * slowMs);
    const read = (chunk: Uint8Array): Uint8Array => this.#readFromDisk(chunk);
    let over = false;
    async function* carried(from: number): AsyncIterable<Uint8Array> {
      for await (const chunk of chunks(from)) {
        await new Promise<void>((resolve) => clock.after(delay(), resolve));
        if (over || !reached()) throw unreachable;
        yield read(chunk);
      }
    }
    const lost = Promise.withResolvers<never>();
    let cancel = (): void => {};
    const look = (): void => {
      if (reached()) cancel = clock.after(SNAPSHOT_LOOK_MS, look);
      else lost.reject(unreachable);
    };
    look();
    const transfer = { raced: false };
    this.#transfers.set(to, transfer);
    try {
      await Promise.race([target.snapshot(header, carried), lost.promise]);
    } catch (cause) {
      throw new OpenClawError("UNAVAILABLE", `${to} did not take the snapshot`, { cause });
    } finally {
      over = true;
      cancel();
      if (this.#transfers.get(to) === transfer) this.#transfers.delete(to);
    }
  }

  #readFromDisk(chunk: Uint8Array): Uint8Array {
    if (!this.misdirectChunk) return chunk;
    this.misdirectChunk = false;
    this.#count("misdirected reads");
    return chunk.toReversed();
  }

  #count(fault: Fault): void {
    this.#options.count?.(fault);
  }
}
