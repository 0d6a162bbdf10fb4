/** Changes in an order in which each follows what it depends on, as far as that is among them. */
import type { ChangeHash } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";

/** Kahn's algorithm. Repetitions of a hash are dropped; changes that wait for nothing keep the order given. */
export function causalOrder(changes: Iterable<DocumentChange>): readonly DocumentChange[] {
  const byHash = new Map<ChangeHash, DocumentChange>();
  for (const change of changes) if (!byHash.has(change.hash)) byHash.set(change.hash, change);

  const waitsFor = new Map<ChangeHash, number>();
  const dependents = new Map<ChangeHash, DocumentChange[]>();
  const ordered: DocumentChange[] = [];
  for (const change of byHash.values()) {
    let waits = 0;
    for (const dep of change.deps) {
      if (!byHash.has(dep)) continue;
      waits++;
      const waiting = dependents.get(dep);
      if (waiting === undefined) dependents.set(dep, [change]);
      else waiting.push(change);
    }
    if (waits === 0) ordered.push(change);
    else waitsFor.set(change.hash, waits);
  }
  // The list grows while it is read: what becomes free is appended.
  for (const done of ordered) {
    for (const dependent of dependents.get(done.hash) ?? []) {
      const waits = (waitsFor.get(dependent.hash) ?? 0) - 1;
      waitsFor.set(dependent.hash, waits);
      if (waits === 0) ordered.push(dependent);
    }
  }
  return ordered;
}
