/** The document into which a page types while others' changes of it arrive. */
export const COLLECTION = "notes";
export const DOCUMENT = "shift";
/** About 10 KB. */
export const TEXT = "The pump at berth four was checked at noon. ".repeat(240);
/** By each of others' changes, somewhere in what was there at first. */
export const INSERTED = "note";
