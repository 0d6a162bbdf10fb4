/** The sections of a snapshot, in the one order that both ends derive from its head, and the places along them. */
import type { ClusterId } from "../ids.ts";
import { type Scope, scopeOf, without } from "./scope.ts";
import type { SnapshotHead, SnapshotHome, SnapshotPiece, SnapshotPlace, SnapshotSection } from "./snapshot.ts";
import { NOTHING } from "./subscription.ts";

/** What is in it. */
export const snapshotScope = ({ subscription, kept }: SnapshotHead): Scope =>
  without(scopeOf(subscription), scopeOf(kept ?? NOTHING));

/** The keys of one owner that every child has, as `own`. @param owner null: the sender */
export const scopeOfHomes = (
  homes: readonly Pick<SnapshotHome, "prefix" | "owner">[],
  owner: ClusterId | null,
): Scope => scopeOf({ ...NOTHING, prefixes: homes.filter((home) => home.owner === owner).map(({ prefix }) => prefix) });

export function sectionsOf(head: SnapshotHead): readonly SnapshotSection[] {
  const { own, mirrored, collections, documents } = snapshotScope(head);
  const others = [null, ...head.origins.map(({ cluster }) => cluster)];
  return [
    ...others.flatMap((origin) => {
      const homes = scopeOfHomes(head.homes, origin);
      const rest = without({ ...homes, own: origin === null ? own : mirrored }, homes);
      return [
        ...homes.own.map((interval) => ({ kind: "keys", origin, home: "hub", ...interval }) as const),
        ...rest.own.map((interval) => ({ kind: "keys", origin, home: "site", ...interval }) as const),
      ];
    }),
    ...(collections ?? [null]).map((collection) => ({ kind: "documents", collection }) as const),
    ...(documents.length === 0 ? [] : [{ kind: "named", documents } as const]),
  ];
}

/** Where a section is begun at. */
const beginningOf = (section: SnapshotSection | undefined): Uint8Array =>
  section?.kind === "keys" ? section.from : new Uint8Array(0);

export const placeAt = (sections: readonly SnapshotSection[], section: number): SnapshotPlace => ({
  section,
  from: beginningOf(sections[section]),
});

/** What follows a piece. */
export const placeAfter = (sections: readonly SnapshotSection[], { section, to }: SnapshotPiece): SnapshotPlace =>
  to === null ? placeAt(sections, section + 1) : { section, from: to };
