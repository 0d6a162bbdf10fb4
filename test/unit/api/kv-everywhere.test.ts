/** Reads across origins: `GET /v1/kv?origin=*|SITE`, history and watch of a mirror and of everything. */
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { linkId, OneCluster, put, sha256 } from "../state-machine/one-cluster.ts";
import { startTestNode, type TestNode } from "./node.ts";

let node: TestNode;
const site = new OneCluster("alaska");

const get = async (url: string) => {
  const { statusCode, body } = await node.app.inject({ method: "GET", url });
  return { status: statusCode, body: JSON.parse(body) };
};
const shown = ({ body }: { body: { rows: Record<string, unknown>[] } }) =>
  body.rows.map(({ origin, key, text, modRevision }) => [origin, key, text, modRevision]);

beforeAll(async () => {
  node = await startTestNode();
  await node.put("x/own", "0");
  for (const [key, value] of [
    ["other", "1"],
    ["x/1", "2"],
    ["x/2", "3"],
    ["x/1", "4"],
  ] as const)
    site.run(put(key, value));
  await node.replica.propose(
    {
      kind: "importLedger",
      side: "child",
      link: linkId("alaska"),
      cluster: site.cluster,
      epoch: site.epoch,
      items: selectForParent(site.ledger, node.replica.position().cluster, sha256),
      hash: site.position.hash,
      after: null,
    },
    { principal: "test", timeoutMs: 5_000 },
  );
});
afterAll(() => node.stop());

test("F2: origin=* lists our own keys and every site's, and says whose they are, with the site's revisions", async () => {
  const all = await get("/v1/kv?origin=*&prefix=x/&count=true");
  expect(all).toMatchObject({ status: 200, body: { more: false, count: 3 } });
  expect(shown(all)).toEqual([
    [null, "x/own", "0", 1],
    ["alaska", "x/1", "4", 4],
    ["alaska", "x/2", "3", 3],
  ]);
  const one = await get("/v1/kv?origin=alaska&prefix=x/");
  expect(shown(one)).toEqual(shown(all).slice(1));
  // A page ends where the next one begins.
  const first = await get("/v1/kv?origin=*&prefix=x/&limit=2");
  expect(first.body.more).toBe(true);
  const rest = await get("/v1/kv?origin=*&prefix=x/&limit=2&after=x/1&afterOrigin=alaska");
  expect([...shown(first), ...shown(rest)]).toEqual(shown(all));
  const keys = await get("/v1/kv?origin=*&prefix=x/&view=keys");
  expect(keys.body.rows[1]).toEqual({ origin: "alaska", key: "x/1", modRevision: 4, createRevision: 2, version: 2 });
  expect((await get("/v1/kv?origin=*&view=count")).body).toMatchObject({ count: 4, rows: [] });
});

test("F2: what has no meaning across origins is refused with a code", async () => {
  for (const query of [
    "sort=modRevision",
    "order=descending",
    "minModRevision=2",
    "revision=1",
    "time=0",
    "afterOrigin=alaska",
  ])
    expect(await get(`/v1/kv?origin=*&${query}`)).toMatchObject({ status: 400, body: { code: "BAD_REQUEST" } });
  expect(await get("/v1/kv?origin=No%20Name")).toMatchObject({ status: 400, body: { code: "BAD_REQUEST" } });
});

test("F2: a site's history is told by its origin", async () => {
  const { body } = await get("/v1/history/x%2F1?origin=alaska");
  expect(
    body.versions.map((version: { text: string; modRevision: number }) => [version.text, version.modRevision]),
  ).toEqual([
    ["4", 4],
    ["2", 2],
  ]);
  expect((await get("/v1/history/x%2F1")).body.versions).toEqual([]);
});
