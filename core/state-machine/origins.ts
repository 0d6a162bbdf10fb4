/** Whose mirrors a state holds, by the marks of their origins (L4). */
import { utf8Text } from "../bytes.ts";
import { invariant } from "../errors.ts";
import { type ClusterId, isClusterId, isNonce, type LinkId, type Revision } from "../ids.ts";
import { homesIn } from "./homes.ts";
import { namesOfMark, ORIGIN_MARKS } from "./keyspace.ts";
import { isLater, type MarkRow, markRow } from "./link-rows.ts";
import { readPosition } from "./position.ts";
import type { QueryAnswers } from "./query.ts";
import { rowsOf } from "./row-pages.ts";
import type { StateView } from "./view.ts";

interface NewestMark {
  readonly cluster: ClusterId;
  readonly epoch: string;
  readonly mark: Revision;
  readonly link: LinkId;
  readonly at: Revision;
}

/** A buffer of its own: an answer is posted between threads. */
const own = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

/** Of an origin that was met in several epochs, the one that was followed last. @param rows of ORIGIN_MARKS, in their order */
export function newestMarks(rows: Iterable<{ readonly key: Uint8Array; readonly value: MarkRow }>): NewestMark[] {
  const newest = new Map<ClusterId, NewestMark>();
  for (const { key, value } of rows) {
    const names = namesOfMark(key);
    const [cluster, epoch] = [utf8Text(names.cluster), utf8Text(names.epoch)];
    invariant(isClusterId(cluster) && isNonce(epoch), "a mark's row carries its names");
    const known = newest.get(cluster);
    if (known === undefined || isLater(value, known)) newest.set(cluster, { cluster, epoch, ...value });
  }
  return [...newest.values()].sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
}

export function originsOf(view: StateView): QueryAnswers["origins"] {
  // A view is read forwards (frozen-view.ts).
  const position = readPosition(view);
  const homes = homesIn(view).rows.map((row) => ({ ...row, prefix: own(row.prefix) }));
  const rows = [...rowsOf(view, ORIGIN_MARKS.from, ORIGIN_MARKS.to)];
  const marks = newestMarks(rows.map(({ key, value }) => ({ key, value: markRow.decode(value) })));
  return { origins: marks.map(({ cluster, epoch, link }) => ({ cluster, epoch, link })), homes, position };
}
