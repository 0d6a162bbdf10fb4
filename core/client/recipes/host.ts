/** What recipes stand on: the keys of a client, and its ports. A `Client` is one. */
import type { Clock, Random } from "../../ports.ts";
import type { Keys } from "../keys.ts";

export interface RecipeHost {
  readonly kv: Pick<Keys, "txn" | "attempt" | "range" | "watch">;
  readonly ports: { readonly clock: Clock; readonly random: Random };
}
