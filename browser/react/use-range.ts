import type { Bytes, KeyRow } from "@openclaw/core/client/key-row.ts";
import { toBytes } from "@openclaw/core/client/key-row.ts";
import type { Stale } from "@openclaw/core/client/mirror-level.ts";
import type { TypedRow } from "@openclaw/core/client/typed.ts";
import type { OpenClawError } from "@openclaw/core/errors.ts";
import { useMemo } from "react";
import { type KeyOptions, nameOf, type TypedKeyOptions, useMirror, useTypedRow } from "./key-views.ts";

export type RangeView<Row> =
  /** Not all of it is on this device yet. */
  | { readonly kind: "opening" }
  /** `rows`: in key order, each the same object until it changed. `stale`: null while this device is level with the site. */
  | { readonly kind: "ready"; readonly rows: readonly Row[]; readonly stale: Stale | null }
  /** BAD_REQUEST, OVERLOADED (more than 256 prefixes: subscribe to a shorter one), CLIENT_STORAGE_FAILED */
  | { readonly kind: "failed"; readonly error: OpenClawError };

/**
 * Every key under a prefix, offline too, with this page's own writes at once. With a schema, keys are told without the
 * prefix, as by `Keys.typed`.
 */
export function useRange(prefix: Bytes, options?: KeyOptions): RangeView<KeyRow>;
export function useRange<Input, Output>(
  prefix: Bytes,
  options: TypedKeyOptions<Input, Output>,
): RangeView<TypedRow<Output>>;
export function useRange<Input, Output>(
  prefix: Bytes,
  options: KeyOptions | TypedKeyOptions<Input, Output> = {},
): RangeView<KeyRow | TypedRow<Output>> {
  const { origin = null } = options;
  const state = useMirror(JSON.stringify(["range", nameOf(prefix), origin]), (keys) => keys.mirror(prefix, { origin }));
  const typed = useTypedRow(state.kind === "ready" ? toBytes(prefix).length : 0, options);
  return useMemo(() => {
    if (state.kind !== "ready" || typed === null) return state;
    return { ...state, rows: state.rows.map(typed) };
  }, [state, typed]);
}
