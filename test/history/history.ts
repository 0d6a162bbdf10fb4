/** What the clients of a key-value store asked for and were told: the input of the linearizability check. */

/** A key's value; null while there is no such key. */
export type Value = string | null;

export type Call =
  | { readonly kind: "get" }
  | { readonly kind: "put"; readonly value: string }
  | { readonly kind: "append"; readonly value: string }
  | { readonly kind: "delete" }
  /** Compare and set: to `to` if the value is `from`; null stands for "no such key" in both places. */
  | { readonly kind: "cas"; readonly from: Value; readonly to: Value };

export type Outcome =
  /** A put, append, delete or cas took effect. */
  | { readonly kind: "ok" }
  /** A get was answered. */
  | { readonly kind: "saw"; readonly value: Value }
  /** A cas changed nothing, because the value was not `from`. */
  | { readonly kind: "differed" }
  /** It did not happen and never will; of the value it tells nothing. */
  | { readonly kind: "failed" }
  /** Nobody was told: it took effect, or will at any later time, or never. */
  | { readonly kind: "unknown" };

export interface Operation {
  readonly process: number;
  readonly key: string;
  readonly call: Call;
  /**
   * Moments on one scale for all processes, in any unit. One operation precedes another if it returned at an earlier
   * moment than the other was invoked; equal moments count as concurrent, so a counter tells more than a clock.
   */
  readonly invoked: number;
  /** Null exactly if the outcome is unknown. */
  readonly returned: number | null;
  readonly outcome: Outcome;
}

/** A history that no clients could have had, or a file that holds none. The message is for a person. */
export class HistoryError extends Error {}
