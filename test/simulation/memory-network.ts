/** Transports of one cluster in one process: each link has a delay, can be cut in one direction, and may be unreliable. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import type {
  Clock,
  Random,
  SnapshotChunks,
  SnapshotHeader,
  Transport,
  TransportHandlers,
} from "@openclaw/core/ports.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import type { ProcessClock } from "./virtual-clock.ts";

/** What a link does to messages besides delaying them. */
export interface Unreliability {
  readonly random: Random;
  /** Of messages, 0 to 1. */
  readonly lost: number;
  readonly repeated: number;
  /** Up to this much is added to each delay, ms: messages overtake each other. */
  readonly jitterMs: number;
}

/** A snapshot's chunk takes that many times as long as a message. */
const CHUNK_SLOWNESS = 20;
/** How often the sender of a snapshot looks whether the receiver is still there, ms. */
const SNAPSHOT_LOOK_MS = 500;

export class MemoryNetwork {
  readonly #clock: Clock;
  readonly #nodes = new Map<NodeId, TransportHandlers>();
  readonly #cut = new Set<string>();
  readonly #processes = new Map<NodeId, ProcessClock>();
  readonly delayMs: number;
  /** Null: every message arrives once, in order. */
  unreliability: Unreliability | null = null;

  constructor(clock: Clock, delayMs = 1) {
    this.#clock = clock;
    this.delayMs = delayMs;
  }

  /** Cuts `from` → `to`, one way. */
  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`);
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

  leave(node: NodeId): void {
    this.#nodes.delete(node);
  }

  /** @param process that of the node, if it may be stopped: what arrives meanwhile waits */
  transport(node: NodeId, process?: ProcessClock): Transport {
    if (process !== undefined) this.#processes.set(node, process);
    let handlers: TransportHandlers | null = null;
    // What a node still does after it has left is not heard.
    const here = (): boolean => handlers === null || this.#nodes.get(node) === handlers;
    const open = (to: NodeId): boolean => here() && !this.#cut.has(`${node}>${to}`) && this.#nodes.has(to);
    return {
      receive: (taken) => {
        handlers = taken;
        this.#nodes.set(node, taken);
      },
      send: (to: NodeId, messages: readonly RaftMessage[]) => {
        if (!open(to)) return;
        for (const delayMs of this.#arrivals()) {
          this.#clock.after(delayMs, () => {
            if (!this.#cut.has(`${node}>${to}`)) this.#arrived(to, messages);
          });
        }
      },
      sendSnapshot: async (to: NodeId, header: SnapshotHeader, chunks: SnapshotChunks) => {
        const unreachable = new OpenClawError("UNAVAILABLE", `${to} cannot be reached`);
        const target = this.#nodes.get(to);
        const reached = (): boolean => open(to) && this.#nodes.get(to) === target;
        if (target === undefined || !reached()) throw unreachable;
        const clock = this.#clock;
        const slowMs = (this.unreliability?.jitterMs ?? 0) * CHUNK_SLOWNESS;
        const delay = (): number => this.delayMs + Math.floor((this.unreliability?.random.unit() ?? 0) * slowMs);
        let over = false;
        async function* carried(from: number): AsyncIterable<Uint8Array> {
          for await (const chunk of chunks(from)) {
            await new Promise<void>((resolve) => clock.after(delay(), resolve));
            if (over || !reached()) throw unreachable;
            yield chunk;
          }
        }
        const lost = Promise.withResolvers<never>();
        let cancel = (): void => {};
        const look = (): void => {
          if (reached()) cancel = clock.after(SNAPSHOT_LOOK_MS, look);
          else lost.reject(unreachable);
        };
        look();
        try {
          await Promise.race([target.snapshot(header, carried), lost.promise]);
        } catch (cause) {
          throw new OpenClawError("UNAVAILABLE", `${to} did not take the snapshot`, { cause });
        } finally {
          over = true;
          cancel();
        }
      },
    };
  }

  #arrived(to: NodeId, messages: readonly RaftMessage[]): void {
    const target = this.#nodes.get(to);
    if (target === undefined) return;
    const process = this.#processes.get(to);
    if (process === undefined) target.messages(messages);
    else process.run(() => target.messages(messages));
  }

  /** When the copies of a message arrive; none if it is lost. */
  #arrivals(): readonly number[] {
    if (this.unreliability === null) return [this.delayMs];
    const { random, lost, repeated, jitterMs } = this.unreliability;
    if (random.unit() < lost) return [];
    const delay = (): number => this.delayMs + Math.floor(random.unit() * (jitterMs + 1));
    return random.unit() < repeated ? [delay(), delay()] : [delay()];
  }
}
