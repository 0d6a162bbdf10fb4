/** L4: the mirror of a child's keys is the child's own state at the cursor, with the child's revisions. */
import { equalBytes, toHex, utf8Text } from "@openclaw/core/bytes.ts";
import { isKeyEvent } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { KeyValue } from "@openclaw/core/state-machine/operation.ts";
import type { Side } from "./mirror.ts";

/**
 * @param mirrored every key that the parent has of the child
 * @param putBack hex of those that an operator's decision put back to what they were (L3): of them the value counts
 */
export function mirrorStateFaults(
  child: Side,
  cursor: number,
  mirrored: readonly KeyValue[],
  putBack: ReadonlySet<string> = new Set(),
): readonly string[] {
  const own = new Map(mirrored.map((row) => [toHex(row.key), row]));
  const faults: string[] = [];
  for (const [key, row] of stateAt(child, cursor)) {
    const found = own.get(key);
    own.delete(key);
    const same =
      found !== undefined && (putBack.has(key) ? equalBytes(found.value, row.value) : shown(found) === shown(row));
    if (!same) {
      faults.push(
        `${child.cluster} at ${cursor} has ${shown(row)}, its mirror ${found === undefined ? "nothing" : shown(found)}`,
      );
    }
  }
  for (const row of own.values())
    faults.push(`the mirror of ${child.cluster} at ${cursor} has ${shown(row)}, and the child has no such key`);
  return faults;
}

/** What a ledger's own records leave, up to a revision. */
function stateAt({ ledger }: Side, cursor: number): ReadonlyMap<string, KeyValue> {
  const state = new Map<string, KeyValue>();
  for (const stored of ledger) {
    if (stored.revision > cursor) break;
    const { origin, events, revision } = decodeRecord(stored.record);
    if (origin !== null) continue;
    for (const event of events) {
      if (!isKeyEvent(event)) continue;
      const key = toHex(event.key);
      if (event.kind === "delete") {
        state.delete(key);
        continue;
      }
      const before = state.get(key);
      state.set(key, {
        key: event.key,
        value: event.value,
        createRevision: before?.createRevision ?? revision,
        lease: null,
        modRevision: revision,
        version: (before?.version ?? 0) + 1,
      });
    }
  }
  return state;
}

function shown({ key, value, createRevision, modRevision, version }: KeyValue): string {
  return `${utf8Text(key)} = ${utf8Text(value)} (${createRevision}, ${modRevision}, put ${version} times)`;
}
