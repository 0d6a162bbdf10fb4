/** What of mine the hub does not have yet: how much, where it is, since when, and how it begins. */
import { type EditBadge, groupEdits, type ShownChange, summaryOf } from "./edit-groups.ts";

export type UnsafeBadge = Exclude<EditBadge, "hub">;

export interface UnsafeChanges {
  readonly badge: UnsafeBadge;
  readonly count: number;
  /** Seconds since 1970 of the oldest that is known; 0 where none has a time. */
  readonly since: number;
  /** There are older ones, which are counted and not known. */
  readonly isOlder: boolean;
  readonly summary: string;
}

/** Changes from the oldest on that are put together to say how it begins. */
const BEGINNING_MAX = 200;

/** The least safe first. */
const BADGES: readonly UnsafeBadge[] = ["refused", "saving", "device", "site"];

/**
 * @param changes mine, oldest first; a client tells of the newest only
 * @param unsynced how many are not yet at the site, whether or not they are among those
 */
export function unsafeChanges(changes: readonly ShownChange[], unsynced: number): readonly UnsafeChanges[] {
  const beforeSite = changes.filter(({ badge }) => badge === "saving" || badge === "device").length;
  return BADGES.flatMap((badge): UnsafeChanges[] => {
    const own = changes.filter((change) => change.badge === badge);
    const unknown = badge === "device" ? Math.max(0, unsynced - beforeSite) : 0;
    const count = own.length + unknown;
    if (count === 0) return [];
    const edits = groupEdits(own.slice(0, BEGINNING_MAX).reverse(), Number.POSITIVE_INFINITY);
    const oldest = edits.findLast(({ time }) => time > 0) ?? edits.at(-1);
    return [
      {
        badge,
        count,
        since: oldest?.time ?? 0,
        isOlder: unknown > 0,
        summary: oldest === undefined ? "" : summaryOf(oldest),
      },
    ];
  });
}
