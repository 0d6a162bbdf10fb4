/** Times as people write them. */

/** RFC 3339, where a `T` may be a space and a date alone is its midnight, UTC. A time without a zone would be anybody's. */
const RFC_3339 = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d))?$/;

/** Ms since 1970; NaN for what is no such time. */
export const wallTimeOf = (text: string): number =>
  RFC_3339.test(text) ? Date.parse(text.replace(" ", "T")) : Number.NaN;
