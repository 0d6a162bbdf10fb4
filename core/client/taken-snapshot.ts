/** A parent's snapshot at a client (S4): what a step leads to, and how a piece differs from the mirror on this device. */
import { equalBytes } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import type { Revision } from "../ids.ts";
import { itemsIn, type SnapshotHead, type SnapshotPiece, type SnapshotStep } from "../ledger/snapshot.ts";
import { placeAfter, placeAt, sectionsOf } from "../ledger/snapshot-sections.ts";
import type { Subscription } from "../ledger/subscription.ts";
import { NOTHING } from "../ledger/subscription.ts";
import type { Inspection } from "./inspection.ts";
import { mirrorName } from "./mirror-name.ts";
import type { ClientStore, MirrorRow, TakenSnapshot } from "./store.ts";
import { Taken } from "./taken.ts";

/** How far what the parent streams was taken. */
export interface Place {
  readonly cursor: Revision;
  readonly held: Subscription;
  readonly snapshot: TakenSnapshot | null;
}

/** @throws OpenClawError GAP: a step that does not follow the ones before it */
export function snapshotAfter(before: Place, step: SnapshotStep): Place {
  if (step.kind === "begin") {
    const head = kept(step.head);
    const place = placeAt(sectionsOf(head), 0);
    return { ...before, snapshot: { head, place, received: 0, expected: step.extent ?? null } };
  }
  const { snapshot } = before;
  if (snapshot === null || snapshot.head.at !== step.at)
    throw new OpenClawError("GAP", `no snapshot of revision ${step.at} is under way`);
  const { head, place, expected } = snapshot;
  const sections = sectionsOf(head);
  if (step.kind === "end") {
    if (place.section < sections.length) throw new OpenClawError("GAP", "sections of the snapshot did not come");
    return { cursor: head.at, held: head.subscription ?? NOTHING, snapshot: null };
  }
  const { section, from } = step.piece;
  if (section !== place.section || !equalBytes(from, place.from))
    throw new OpenClawError("GAP", `a piece of section ${section}, the snapshot is at ${place.section}`);
  const next = placeAfter(sections, step.piece);
  const received = snapshot.received + itemsIn(step.piece);
  return { ...before, snapshot: { head, place: { ...next, from: new Uint8Array(next.from) }, received, expected } };
}

/** Without the frame that it came in, which storage would keep with it. */
const kept = (head: SnapshotHead): SnapshotHead => ({
  ...head,
  hash: new Uint8Array(head.hash),
  subscription: head.subscription === null ? null : unframed(head.subscription),
  kept: head.kept === null ? null : unframed(head.kept),
});

const unframed = (subscription: Subscription): Subscription => ({
  ...subscription,
  prefixes: subscription.prefixes.map((prefix) => new Uint8Array(prefix)),
});

/** What the mirror has of the piece's keys, and the piece has not, is gone. */
export async function takenOfPiece(
  { store, inspection }: { readonly store: Pick<ClientStore, "mirror">; readonly inspection: Inspection },
  head: SnapshotHead,
  piece: SnapshotPiece,
): Promise<Taken> {
  const taken = new Taken();
  const section = sectionsOf(head)[piece.section];
  if (section?.kind === "keys") {
    const { origin } = section;
    const held = await store.mirror(origin, piece.from, piece.to ?? section.to);
    const before = new Map(held.map((row) => [mirrorName(row), row]));
    for (const { key, value, modRevision } of piece.rows) {
      const row: MirrorRow = { key, origin, value, modRevision };
      const known = before.get(mirrorName(row));
      before.delete(mirrorName(row));
      if (known?.modRevision !== modRevision || !equalBytes(known.value, value))
        taken.difference(key, origin, row, head.at);
    }
    for (const { key } of before.values()) taken.difference(key, origin, null, head.at);
  }
  for (const part of piece.documents) taken.part(part, await inspection.changes(part.changes), head.at);
  return taken;
}
