/** What clients read and are told of keys. */
import { utf8 } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import type { Revision } from "../ids.ts";

/** A text stands for its UTF-8 bytes. */
export type Bytes = string | Uint8Array;

export interface KeyRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Of its last put; 0 while this device's own put is not yet at the site. */
  readonly modRevision: Revision;
}

/** What became of a key; `row` null: it is not there any more. */
export interface KeyChange {
  readonly key: Uint8Array;
  readonly row: KeyRow | null;
}

/** A row, and the state that it was read from. */
export interface KeyReading {
  readonly row: KeyRow | null;
  /** For the `minRevision` of a later read, here or elsewhere; null where this device has not met its site. */
  readonly position: string | null;
  /** How stale the gateway's state may have been, ms; null where that is not known, as in this device's mirror. */
  readonly staleMs: number | null;
}

export interface KeyEvent {
  readonly kind: "put" | "delete";
  readonly key: Uint8Array;
  /** Empty for a delete. */
  readonly value: Uint8Array;
  readonly origin: string | null;
  /** In the origin's ledger. */
  readonly revision: Revision;
  /** Who wrote it; null in a snapshot, which does not tell. */
  readonly principal: string | null;
  /** Wall clock where it was written, ms since 1970: an annotation; null in a snapshot. */
  readonly time: number | null;
  /** S4: how what stands now differs from what stood here, and not what was done one by one. */
  readonly snapshot: boolean;
}

/**
 * A copy: what the caller does to its own bytes afterwards must not change what is stored and sent.
 * @throws OpenClawError BAD_REQUEST: half of a surrogate pair has no UTF-8, and all such texts would become one
 */
export function toBytes(bytes: Bytes): Uint8Array {
  if (typeof bytes !== "string") return bytes.slice();
  if (!bytes.isWellFormed()) throw new OpenClawError("BAD_REQUEST", "a text that is not well-formed Unicode");
  return utf8(bytes);
}
