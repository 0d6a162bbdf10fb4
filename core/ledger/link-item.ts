/** The revisions of a link item. */
import type { Revision } from "../ids.ts";
import type { LinkItem } from "./record.ts";

/** First and last revision that an item stands for. */
export const firstRevision = (item: LinkItem): Revision => (item.kind === "skip" ? item.from : item.revision);
export const lastRevision = (item: LinkItem): Revision => (item.kind === "skip" ? item.to : item.revision);
