/** L2, L7: both ends of a link are compared revision by revision, and the first difference is named. */
import type { Mirror, MirrorItem } from "@openclaw/core/history/history-query.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { type Compared, compareLedgers } from "@openclaw/edge-runtime/rebuild/compare.ts";
import { expect, test } from "vitest";

const byte = (value: number): Uint8Array => new Uint8Array(32).fill(value);
const own = (at: number): StoredRecord => ({ revision: revision(at), record: byte(at), hash: byte(100 + at) });
const body = (at: number, more: Partial<{ record: Uint8Array; hash: Uint8Array }> = {}): MirrorItem => ({
  kind: "body",
  ...own(at),
  ...more,
});
const gap = (from: number, to: number, hash = byte(100 + to)): MirrorItem => ({
  kind: "gap",
  from: revision(from),
  to: revision(to),
  hash,
  reason: "skipped",
});

async function* pages(...all: (readonly MirrorItem[])[]): AsyncGenerator<Mirror> {
  for (const items of all) yield { link: null, before: null, items, fault: null };
  yield { link: null, before: null, items: [], fault: null };
}
async function* records(from: number, to: number): AsyncGenerator<StoredRecord> {
  for (let at = from; at <= to; at++) yield own(at);
}

const compare = (hub: AsyncIterable<Mirror>, from: number, to: number, ends = 10): Promise<Compared> =>
  compareLedgers({ hub, site: records(from, ends), from, to, progress: () => {} });

test("equal ends are equal, bodies and gaps counted, wherever it begins and ends", async () => {
  const all = () => pages([body(1), body(2)], [gap(3, 5), body(6)]);
  expect(await compare(all(), 1, 6)).toEqual({ from: 1, to: 6, bodies: 3, gaps: { skipped: 3 }, difference: null });
  // In the midst of a gap at both ends.
  expect(await compare(pages([gap(3, 5), body(6)]), 4, 6)).toMatchObject({ bodies: 1, gaps: { skipped: 2 } });
  expect(await compare(all(), 1, 4)).toEqual({ from: 1, to: 4, bodies: 2, gaps: { skipped: 2 }, difference: null });
});

test("the first difference is named: another record, another hash, a gap's hash, a revision that the site lacks", async () => {
  const difference = async (...items: MirrorItem[]) => (await compare(pages(items), 1, 6, 5)).difference;
  expect(await difference(body(1), body(2, { record: byte(9) }), body(3, { record: byte(9) }))).toMatchObject({
    revision: 2,
    kind: "record",
  });
  expect(await difference(body(1), body(2, { hash: byte(9) }))).toMatchObject({ revision: 2, kind: "hash" });
  expect(await difference(body(1), gap(2, 4, byte(9)))).toMatchObject({ revision: 4, kind: "hash" });
  expect(await difference(body(1), gap(2, 5), body(6))).toMatchObject({ revision: 6, kind: "missing" });
  const { to } = await compare(pages([body(1), body(2)]), 1, 2);
  expect(to).toBe(2);
});

test("what the hub itself finds wrong is the difference, where nothing before it is", async () => {
  async function* faulty(): AsyncGenerator<Mirror> {
    const at: Revision = revision(2);
    yield { link: null, before: null, items: [body(1)], fault: { revision: at, kind: "chain", details: "rot" } };
  }
  expect(await compare(faulty(), 1, 6)).toMatchObject({ difference: { revision: 2, kind: "hub", details: "rot" } });
});

test("L2: a revision that the hub does not show, in the midst or at the end, is not taken for the same", async () => {
  const missing = { difference: { revision: 2, kind: "missing" } };
  expect(await compare(pages([body(1), body(3)]), 1, 3)).toMatchObject(missing);
  expect(await compare(pages([body(1), gap(3, 4)]), 1, 4)).toMatchObject(missing);
  expect(await compare(pages([body(1)]), 1, 3)).toMatchObject(missing);
});
