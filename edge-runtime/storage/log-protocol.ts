/** What the main thread asks of the log's worker. */
import type { ClusterId, NodeId } from "@openclaw/core/ids.ts";
import type { LogBase } from "@openclaw/core/ports.ts";
import type { HardState } from "@openclaw/core/raft/message.ts";
import type { LogTail } from "./log-tail.ts";

export interface LogOpening {
  readonly folder: string;
  readonly cluster: ClusterId;
  readonly node: NodeId;
}

export interface OpenedLog {
  readonly tail: LogTail;
  /** Packed runs of entries, each following the one before; the first may begin at or below the base. */
  readonly batches: readonly Uint8Array[];
}

/** Entries as `encodeEntries` writes them, with what of them the worker must know. */
export interface PackedEntries {
  readonly first: number;
  readonly last: number;
  readonly lastTerm: number;
  readonly packed: Uint8Array;
}

/** One durable change of the log. All that wait share a commit (R3). */
export type LogWrite =
  | { readonly kind: "append"; readonly hardState: HardState | null; readonly entries: PackedEntries | null }
  | { readonly kind: "compact"; readonly base: LogBase }
  | { readonly kind: "reset"; readonly base: LogBase };

export interface LogCalls {
  open: { ask: LogOpening; answer: OpenedLog };
  write: { ask: LogWrite; answer: null };
  close: { ask: null; answer: null };
}
