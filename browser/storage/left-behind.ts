/** What pages that are gone left in the files of second copies. */
import { nameOf, type Row } from "@openclaw/core/client/outbox-row.ts";
import { readRow } from "@openclaw/core/client/outbox-row-codec.ts";
import { decode } from "@openclaw/core/codec.ts";
import type { CopyFile } from "./copy-file.ts";

export interface LeftBehind {
  readonly file: CopyFile;
  /** Of the database that it is a copy of; null where nothing in it is whole. */
  readonly identity: string | null;
  readonly key: number;
  readonly rows: readonly Row[];
}

/** @param free each is open, and is so afterwards if it is in the answer */
export function leftBehind(free: readonly CopyFile[]): readonly LeftBehind[] {
  const found: LeftBehind[] = [];
  for (const file of free) {
    try {
      const copied = file.read();
      const rows = [...(copied?.rows.values() ?? [])].map(decodeRow);
      found.push({ file, identity: copied?.identity ?? null, key: copied?.key ?? 0, rows });
    } catch {
      // Unreadable, or of a later version: left as it is, for who can read it.
      file.close();
    }
  }
  return found;
}

export const namesIn = (left: readonly LeftBehind[]): ReadonlySet<string> =>
  new Set(left.flatMap(({ rows }) => rows.map(nameOf)));

export const decodeRow = (bytes: Uint8Array): Row => readRow(decode(bytes));
