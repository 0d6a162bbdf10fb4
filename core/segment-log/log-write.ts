/** What a log is asked to write, and what it finds when it is opened: entries stay packed. */
import type { Index } from "../ids.ts";
import type { LogBase } from "../ports.ts";
import type { HardState } from "../raft/message.ts";
import type { LogTail } from "./log-tail.ts";

/** Entries as `encodeEntries` writes them, with what of them the log must know. */
export interface PackedEntries {
  readonly first: number;
  readonly last: number;
  readonly lastTerm: number;
  readonly packed: Uint8Array;
}

/** One durable change of the log. Those that wait together share a batch and its fsync (R3). */
export type LogWrite =
  | { readonly kind: "append"; readonly hardState: HardState | null; readonly entries: PackedEntries | null }
  | { readonly kind: "compact"; readonly base: LogBase }
  /** `missing`: entries up to there were durable here once. */
  | { readonly kind: "reset"; readonly base: LogBase; readonly missing: Index | null };

/** Entries as they were packed, of which those from `first` to `last` count. */
export interface StoredRun {
  readonly first: number;
  readonly last: number;
  readonly packed: Uint8Array;
}

export interface OpenedLog {
  readonly tail: LogTail;
  /** Each follows the one before; the first may begin at or below the base. */
  readonly runs: readonly StoredRun[];
}
