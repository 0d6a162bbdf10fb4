/** What crosses between a store and its worker. */
import type { ErrorCode } from "@openclaw/core/errors.ts";

/** A store's calls: what is asked and what is answered under each name. */
export type CallMap<Calls> = { readonly [Kind in keyof Calls]: { readonly ask: unknown; readonly answer: unknown } };

/** One call on its way to the worker. */
export type Call<Calls extends CallMap<Calls>> = {
  readonly [Kind in keyof Calls & string]: {
    readonly id: number;
    readonly kind: Kind;
    readonly ask: Calls[Kind]["ask"];
  };
}[keyof Calls & string];

export type Failure =
  | { readonly kind: "expected"; readonly code: ErrorCode; readonly details: string }
  | { readonly kind: "invariant"; readonly message: string };

export type Reply =
  | { readonly ok: true; readonly ids: readonly number[]; readonly answer?: unknown }
  | { readonly ok: false; readonly id: number; readonly failure: Failure };
