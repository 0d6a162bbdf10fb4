import type { Bytes, KeyRow } from "@openclaw/core/client/key-row.ts";
import type { Stale } from "@openclaw/core/client/mirror-level.ts";
import type { TypedRow } from "@openclaw/core/client/typed.ts";
import type { OpenClawError } from "@openclaw/core/errors.ts";
import { useMemo } from "react";
import { type KeyOptions, nameOf, type TypedKeyOptions, useMirror, useTypedRow } from "./key-views.ts";

export type KvView<Row> =
  | { readonly kind: "opening" }
  /** `row`: null where there is no such key. `stale`: null while this device is level with the site. */
  | { readonly kind: "ready"; readonly row: Row | null; readonly stale: Stale | null }
  /** As of `useRange`; KEY_EMPTY, KEY_TOO_LARGE */
  | { readonly kind: "failed"; readonly error: OpenClawError };

/**
 * One key, offline too, with this page's own writes at once. Each costs a prefix of the client's subscription unless a
 * shorter one has it: for many keys, name their common prefix in `openClaw({ subscribe })`.
 */
export function useKv(key: Bytes, options?: KeyOptions): KvView<KeyRow>;
export function useKv<Input, Output>(key: Bytes, options: TypedKeyOptions<Input, Output>): KvView<TypedRow<Output>>;
export function useKv<Input, Output>(
  key: Bytes,
  options: KeyOptions | TypedKeyOptions<Input, Output> = {},
): KvView<KeyRow | TypedRow<Output>> {
  const { origin = null } = options;
  const state = useMirror(JSON.stringify(["key", nameOf(key), origin]), (keys) => keys.mirrorKey(key, { origin }));
  const typed = useTypedRow(0, options);
  return useMemo(() => {
    if (state.kind !== "ready") return state;
    const { rows, ...rest } = state;
    const [row] = rows;
    return { ...rest, row: row === undefined ? null : (typed?.(row) ?? row) };
  }, [state, typed]);
}
