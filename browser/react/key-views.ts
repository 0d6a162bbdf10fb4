/** Mirrors of keys as components see them. */

import { toHex } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import type { KeyMirror, MirrorState } from "@openclaw/core/client/key-mirrors.ts";
import type { Bytes, KeyRow } from "@openclaw/core/client/key-row.ts";
import type { StandardSchema } from "@openclaw/core/client/standard-schema.ts";
import { jsonCodec, type TypedRow, typedRow, type ValueCodec } from "@openclaw/core/client/typed.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { useMemo } from "react";
import { type OpenClient, useOpenClient } from "./provider.ts";
import { type Source, useShared } from "./shared-sources.ts";

export interface KeyOptions {
  /** Another cluster's name, for the mirror of its keys; null, the default, for the site's own. */
  readonly origin?: string | null;
}

export interface TypedKeyOptions<Input, Output> extends KeyOptions {
  /** What each value is to be: any Standard Schema. Give the same one each time: what it made of a value is kept. */
  readonly schema: StandardSchema<Input, Output>;
  /** JSON, unless given. */
  readonly codec?: ValueCodec;
}

const OPENING: MirrorState = { kind: "opening" };

/** @param name of what is opened, for others that look at the same */
export function useMirror(name: string, open: (keys: Client["kv"]) => KeyMirror): MirrorState {
  const opened = useOpenClient();
  return useShared(opened?.mirrors ?? null, name, () => mirrorOf(opened, open), OPENING);
}

/** What a schema makes of a row: the same object for the same row. */
export function useTypedRow<Input, Output>(
  prefixBytes: number,
  options: KeyOptions | TypedKeyOptions<Input, Output>,
): ((row: KeyRow) => TypedRow<Output>) | null {
  const { schema = null, codec = jsonCodec } = "schema" in options ? options : {};
  return useMemo(() => {
    if (schema === null) return null;
    const known = new WeakMap<KeyRow, TypedRow<Output>>();
    return (row) => {
      let typed = known.get(row);
      if (typed === undefined) {
        typed = typedRow(row, prefixBytes, schema, codec);
        known.set(row, typed);
      }
      return typed;
    };
  }, [prefixBytes, schema, codec]);
}

/** Tells one text, or one byte string, from every other. */
export const nameOf = (bytes: Bytes): string => (typeof bytes === "string" ? `text ${bytes}` : `bytes ${toHex(bytes)}`);

function mirrorOf(opened: OpenClient | null, open: (keys: Client["kv"]) => KeyMirror): Source<MirrorState> {
  if (opened === null) throw new Error("nobody subscribes without a client");
  try {
    return open(opened.client.kv);
  } catch (error) {
    if (!(error instanceof OpenClawError)) throw error;
    const failed: MirrorState = { kind: "failed", error };
    return { state: () => failed, subscribe: () => () => {}, close: () => {} };
  }
}
