/** Why revisions of a sender's ledger are not here as bodies (L2). */
import type { StubReason } from "./record.ts";

/**
 * - a stub's reason, as its sender gave it
 * - `known`: bodies that changed nothing here
 * - `skipped`: they held nothing for this link
 * - `snapshot`: one came in their place (S4); `shed`, too, where their own cluster shed them (S5)
 * - `compacted`: what was here of them is compacted
 * - `mark`: none, its hash is what counts
 */
export type GapReason = StubReason | "known" | "skipped" | "snapshot" | "compacted" | "mark";

export const GAP_REASONS: readonly GapReason[] = [
  "private",
  "echo",
  "shed",
  "filtered",
  "known",
  "skipped",
  "compacted",
  "mark",
  "snapshot",
];
