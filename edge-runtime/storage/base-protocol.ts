/** What is asked of the thread that reads a base out of a copy of the state. */
import type { SnapshotFile } from "./state-protocol.ts";

export interface BaseCalls {
  /** Answers whether the copy has the bytes that it had when it was made. */
  open: { ask: Pick<SnapshotFile, "path" | "pieces" | "bytes">; answer: boolean };
  /** As `encodeBasePart` writes it; null behind the last one. */
  part: { ask: null; answer: Uint8Array | null };
}
