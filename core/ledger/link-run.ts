/**
 * A run of link items as bytes: in a frame of sync, and in the command that imports it. What was read from bytes is written as
 * those bytes again: what a link brought is what Raft replicates, and nobody on the way encodes it anew (S2).
 */
import { decode, encodePooled, type TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { linkItemTuple, readLinkItem } from "./link-item-codec.ts";
import type { LinkItem } from "./record.ts";

const readFrom = new WeakMap<readonly LinkItem[], Uint8Array>();

/** May be a view of a larger buffer: for who copies it anyway. */
export const encodeRun = (items: readonly LinkItem[]): Uint8Array =>
  readFrom.get(items) ?? encodePooled(items.map(linkItemTuple));

/** The records are views of `bytes`. @throws OpenClawError MALFORMED_FRAME */
export function readRun(reader: TupleReader, itemsMax = Number.POSITIVE_INFINITY): readonly LinkItem[] {
  const bytes = reader.bytes();
  const tuples = decode(bytes);
  if (!Array.isArray(tuples)) throw new OpenClawError("MALFORMED_FRAME", "a run of items is a list");
  if (tuples.length > itemsMax) throw new OpenClawError("MALFORMED_FRAME", `${tuples.length} items of ${itemsMax}`);
  const items = tuples.map(readLinkItem);
  readFrom.set(items, bytes);
  return items;
}
