/** D1: whether bytes are the change that they are said to be, before Automerge sees them. */
import { sha256 } from "@noble/hashes/sha2.js";
import { Inflate } from "fflate";
import { concatBytes } from "../bytes.ts";
import { type ErrorCode, OpenClawError } from "../errors.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { type ChunkTools, inspectChange } from "./change-chunk.ts";

/** Bytes that are inflated at once: DEFLATE makes a thousand times as many of them at most. */
const INFLATE_BYTES = 4_096;

/** Those that run everywhere. */
export const PLAIN_TOOLS: ChunkTools = { sha256, inflate };

export interface ChangeFault {
  readonly code: Extract<ErrorCode, "CHANGE_INVALID" | "CHANGE_TOO_LARGE">;
  readonly details: string;
}

/** Null for what may be given to Automerge. */
export function changeFault(change: DocumentChange, tools: ChunkTools): ChangeFault | null {
  try {
    const { hash, actor, seq, deps } = inspectChange(change.bytes, tools);
    if (hash !== change.hash) return disagrees("hash");
    if (actor !== change.actor) return disagrees("actor");
    if (seq !== change.seq) return disagrees("sequence number");
    if (!isSameSet(deps, change.deps)) return disagrees("dependencies");
    return null;
  } catch (error) {
    if (!(error instanceof OpenClawError)) throw error;
    const { code, details } = error;
    if (code !== "CHANGE_INVALID" && code !== "CHANGE_TOO_LARGE") throw error;
    return { code, details };
  }
}

const disagrees = (part: string): ChangeFault => ({
  code: "CHANGE_INVALID",
  details: `its ${part} is not the one claimed`,
});

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  const sorted = [...b].sort();
  return a.length === b.length && [...a].sort().every((one, i) => one === sorted[i]);
}

function inflate(bytes: Uint8Array, limit: number): Uint8Array | null {
  const parts: Uint8Array[] = [];
  let length = 0;
  const stream = new Inflate((part) => {
    parts.push(part);
    length += part.length;
  });
  for (let from = 0; from < bytes.length; from += INFLATE_BYTES) {
    const to = Math.min(from + INFLATE_BYTES, bytes.length);
    stream.push(bytes.subarray(from, to), to === bytes.length);
    if (length > limit) return null;
  }
  return concatBytes(parts);
}
