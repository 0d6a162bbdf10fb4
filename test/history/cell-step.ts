/** What one operation did to a cell, or saw of it. */
import type { Value } from "./history.ts";

export type CellStep =
  | { readonly kind: "write"; readonly value: Value }
  | { readonly kind: "append"; readonly value: string }
  | { readonly kind: "swap"; readonly from: Value; readonly to: Value }
  | { readonly kind: "read"; readonly value: Value }
  /** Saw that the value was another one. */
  | { readonly kind: "differs"; readonly from: Value };
