/** Transports of one cluster in one process: each link has a delay and can be cut in one direction. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import type { Clock, SnapshotHeader, Transport, TransportHandlers } from "@openclaw/core/ports.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";

export class MemoryNetwork {
  readonly #clock: Clock;
  readonly #nodes = new Map<NodeId, TransportHandlers>();
  readonly #cut = new Set<string>();
  readonly delayMs: number;

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

  transport(node: NodeId): Transport {
    const open = (to: NodeId): boolean => !this.#cut.has(`${node}>${to}`) && this.#nodes.has(to);
    return {
      receive: (handlers) => {
        this.#nodes.set(node, handlers);
      },
      send: (to: NodeId, messages: readonly RaftMessage[]) => {
        if (!open(to)) return;
        this.#clock.after(this.delayMs, () => {
          if (open(to)) this.#nodes.get(to)?.messages(messages);
        });
      },
      sendSnapshot: async (to: NodeId, header: SnapshotHeader, chunks: AsyncIterable<Uint8Array>) => {
        const target = this.#nodes.get(to);
        if (target === undefined || !open(to)) throw new OpenClawError("UNAVAILABLE", `${to} cannot be reached`);
        await target.snapshot(header, chunks);
      },
    };
  }
}
