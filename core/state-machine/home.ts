/** What is kept of a prefix whose home is elsewhere, or private (Q3). */
import type { ClusterId, Revision } from "../ids.ts";

/** A prefix whose home is not simply each cluster itself. */
export interface HomeRow {
  readonly prefix: Uint8Array;
  readonly home: "hub" | "private";
  /** Whose keys they are; null: ours. */
  readonly owner: ClusterId | null;
  /** Every old home has released it. Before that, who owns it queues writes, and who owned it reads its own keys. */
  readonly open: boolean;
  /** Children that have not released it yet. */
  readonly waiting: readonly ClusterId[];
  /** Our revision that declared it. An earlier one may have done so, too, and may still be answered. */
  readonly declared: Revision;
  /**
   * Our revision from which on the hub is the home without a break, of whatever hub, and by a shorter prefix as well: those
   * below who heard of that queue what they write, and never run it.
   */
  readonly since: Revision;
  /** Likewise the parent's; 0 where it did not. */
  readonly asked: Revision;
}

/** What was under a prefix before a revision was private: a snapshot of an earlier one does not tell it, either (Q3). */
export interface FormerlyPrivate {
  readonly prefix: Uint8Array;
  readonly until: Revision;
}
