/** What is there of a hierarchy, for those who do something to it or look at it. */
import type { Forks } from "./forks.ts";
import type { Place } from "./place.ts";

/** Where a site is: its place, and the hub that it has for a parent. */
export interface Site {
  readonly place: Place;
  /** By its name. */
  parent: string;
  /** It has had another one. */
  hasMoved: boolean;
}

export interface Hierarchy {
  readonly sites: readonly Site[];
  /** The first is where all sites begin. */
  readonly hubs: readonly Place[];
  readonly places: readonly Place[];
  readonly forks: Forks;
  hub(name: string): Place;
  violation(text: string): void;
}
