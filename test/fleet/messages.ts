/** Between the run and the processes that hold its sites. */
export type ToSites =
  | { readonly kind: "start"; readonly configs: readonly string[] }
  /** Each site puts so often from now on; 0: not at all. */
  | { readonly kind: "load"; readonly putsPerSecond: number; readonly valueBytes: number }
  | { readonly kind: "count" };

export type FromSites =
  | {
      readonly kind: "counted";
      readonly connected: number;
      readonly puts: number;
      readonly failed: number;
      readonly apart: readonly string[];
    }
  | { readonly kind: "failed"; readonly reason: string };
