/** L5: what a link brought never travels back on it as a body. */
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";

/** @param to the cluster at the other end */
export function echoFaults(from: string, to: string, items: readonly LinkItem[]): readonly string[] {
  return items.flatMap((item) => {
    if (item.kind !== "body") return [];
    const { origin, link, revision } = decodeRecord(item.record);
    if (link !== to && origin?.cluster !== to) return [];
    return [`${from} ships revision ${revision} to ${to}, which brought it: ${origin?.cluster} ${origin?.revision}`];
  });
}
