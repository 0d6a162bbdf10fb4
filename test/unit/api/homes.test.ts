import { utf8 } from "@openclaw/core/bytes.ts";
import { isLinkId, revision } from "@openclaw/core/ids.ts";
import { selectForChild, selectForParent } from "@openclaw/core/ledger/selection.ts";
import { expect, onTestFinished, test } from "vitest";
import { checked, OneCluster, put, sha256 } from "../state-machine/one-cluster.ts";
import { CLUSTER, EPOCH, startTestNode, type TestNode, type TestNodeOptions } from "./node.ts";
import { StandInUplink } from "./stand-in-uplink.ts";

const NOTHING = { prefixes: [], collections: [], mirrors: false };

/** A node whose parent is at hand: `exchange` carries what both have to tell. */
async function siteOf(hub: OneCluster, options: TestNodeOptions = {}) {
  const node = await startTestNode({
    uplink: new StandInUplink(),
    ...options,
  });
  onTestFinished(() => node.stop());
  let [risen, fallen] = [0, 0];
  const exchange = async (): Promise<void> => {
    const { records } = await node.replica.ledger(revision(risen + 1), 1_048_576);
    const last = records.at(-1);
    if (last !== undefined) {
      risen = last.revision;
      const items = selectForParent(records, hub.cluster, sha256);
      const link = checked(CLUSTER, isLinkId);
      hub.system({
        kind: "importLedger",
        side: "child",
        link,
        cluster: CLUSTER,
        epoch: EPOCH,
        items,
        hash: last.hash,
        after: null,
      });
    }
    const news = hub.ledger.slice(fallen);
    const end = news.at(-1);
    if (end === undefined) return;
    fallen = end.revision;
    const items = selectForChild(news, CLUSTER, NOTHING);
    const { cluster, epoch } = hub;
    const link = checked(cluster, isLinkId);
    const command = {
      kind: "importLedger",
      side: "parent",
      link,
      cluster,
      epoch,
      items,
      hash: end.hash,
      after: null,
    } as const;
    expect(await node.replica.propose(command, { principal: "node:a", timeoutMs: 1_000 })).toMatchObject({
      kind: "imported",
    });
  };
  return { node, exchange };
}

const ask = (node: TestNode, method: "GET" | "PUT" | "DELETE" | "POST", url: string, payload?: string | object) =>
  node.app.inject({ method, url, ...(payload === undefined ? {} : { payload }) });

const setHome = { kind: "setHome", prefix: utf8("config/"), home: "hub", without: [] } as const;

test("Q2: a write whose home is elsewhere is answered 202 with its handle, under which its result is found", async () => {
  const hub = new OneCluster("hub");
  const { node, exchange } = await siteOf(hub);
  await node.put("own", "1");
  await exchange();
  hub.run(setHome);
  await exchange();
  await exchange();
  await exchange();
  const queued = await ask(node, "PUT", "/v1/kv/config/rate", "5");
  expect(queued.statusCode).toBe(202);
  const { handle, status, position } = queued.json();
  expect([status, position]).toEqual(["queued", handle]);
  expect(queued.headers.location).toBe(`/v1/commands/${handle}`);
  const before = (await ask(node, "GET", `/v1/commands/${handle}`)).json();
  expect(before).toEqual({
    handle,
    status: "queued",
    principal: "anonymous",
    at: "parent",
    waitsMs: expect.any(Number),
  });
  await exchange();
  await exchange();
  const done = (await ask(node, "GET", `/v1/commands/${handle}`)).json();
  expect(done).toEqual({
    handle,
    status: "done",
    principal: "anonymous",
    at: "parent",
    result: { revision: hub.key("config/rate")?.modRevision },
  });
  const read = await ask(node, "GET", "/v1/kv/config/rate");
  expect(read.body).toBe("5");
  expect(read.headers).toMatchObject({ "x-openclaw-origin": "hub", "x-openclaw-lag-ms": "42" });
  const own = await ask(node, "GET", "/v1/kv/own");
  expect(own.headers["x-openclaw-origin"]).toBeUndefined();
  const list = await ask(node, "GET", "/v1/kv?prefix=config/");
  expect(list.headers["x-openclaw-origin"]).toBe("hub");
  expect(list.json().rows).toMatchObject([{ key: "config/rate", text: "5" }]);

  const compared = (await ask(node, "PUT", "/v1/kv/config/rate?expected=1", "6")).json().handle;
  const removed = await ask(node, "DELETE", "/v1/kv/config/none");
  expect(removed.statusCode).toBe(202);
  const transaction = await ask(node, "POST", "/v1/txn", {
    success: [{ op: "put", key: "Y29uZmlnL2E=", value: null }],
  });
  expect(transaction.statusCode).toBe(202);
  await exchange();
  await exchange();
  const { commands, next } = (await ask(node, "GET", "/v1/commands")).json();
  expect(next).toBeNull();
  expect(commands).toMatchObject([
    { handle, status: "done" },
    { handle: compared, status: "done", result: { succeeded: false } },
    { handle: removed.json().handle, status: "done", result: { deleted: 0 } },
    { handle: transaction.json().handle, status: "failed", error: { code: "NOT_FOUND" } },
  ]);
  const page = (await ask(node, "GET", "/v1/commands?limit=2")).json();
  expect(page.commands).toHaveLength(2);
  expect((await ask(node, "GET", `/v1/commands?after=${page.next}`)).json().commands).toHaveLength(2);
});

test("Q3: an operator lists and sets homes; what a site may not say is refused", async () => {
  const hub = new OneCluster("hub");
  const { node, exchange } = await siteOf(hub);
  expect((await ask(node, "PUT", "/v1/homes", { prefix: "secret/", home: "private" })).statusCode).toBe(200);
  await exchange();
  hub.run(setHome);
  await exchange();
  expect((await ask(node, "GET", "/v1/homes")).json()).toEqual({
    mirrored: hub.position.revision,
    homes: [
      { prefix: "config/", home: "hub", owner: "hub", open: false, waiting: [] },
      { prefix: "secret/", home: "private", owner: CLUSTER, open: true, waiting: [] },
    ],
  });
  for (const [body, code] of [
    [{ prefix: "config/", home: "site" }, "READ_ONLY"],
    [{ prefix: "x", home: "nowhere" }, "BAD_REQUEST"],
    [{ prefix: "x".repeat(256), home: "hub" }, "BAD_REQUEST"],
    [{ prefix: "x", home: "hub", without: ["NO NAME"] }, "BAD_REQUEST"],
  ] as const)
    expect((await ask(node, "PUT", "/v1/homes", body)).json()).toMatchObject({ code });
  const crossing = {
    success: [
      { op: "put", key: "b3du", value: "MQ==" },
      { op: "put", key: "Y29uZmlnL2E=", value: "MQ==" },
    ],
  };
  expect((await ask(node, "POST", "/v1/txn", crossing)).json()).toMatchObject({ code: "CROSS_HOME" });
});

test("Q2: a write to a site below is queued for it; nobody below of that name is refused", async () => {
  const shop = new OneCluster("shop");
  shop.run(put("own", "1"));
  const node = await startTestNode();
  onTestFinished(() => node.stop());
  const { cluster, epoch } = shop;
  const link = checked(cluster, isLinkId);
  const items = selectForParent(shop.ledger, CLUSTER, sha256);
  const command = {
    kind: "importLedger",
    side: "child",
    link,
    cluster,
    epoch,
    items,
    hash: shop.position.hash,
    after: null,
  } as const;
  await node.replica.propose(command, { principal: "node:a", timeoutMs: 1_000 });
  const queued = await ask(node, "PUT", "/v1/kv/desired/light?origin=shop", "on");
  expect(queued.statusCode).toBe(202);
  expect((await ask(node, "GET", `/v1/commands/${queued.json().handle}`)).json()).toMatchObject({ at: "shop" });
  expect((await ask(node, "DELETE", "/v1/kv/a?origin=mill")).json()).toMatchObject({ code: "UNKNOWN_CHILD" });
  expect((await ask(node, "PUT", "/v1/kv/a?origin=No", "1")).json()).toMatchObject({ code: "BAD_REQUEST" });
});

test("Q2: of a command that is forgotten, another's, or never was, it is told which", async () => {
  const { node } = await siteOf(new OneCluster("hub"));
  const at = await node.put("own", "1");
  for (const [handle, status, code] of [
    [`${CLUSTER}.0.${EPOCH.nonce}.${at}`, 410, "OUTCOME_UNKNOWN"],
    [`${CLUSTER}.0.${"cd".repeat(16)}.1`, 410, "OUTCOME_UNKNOWN"],
    [`${CLUSTER}.0.${EPOCH.nonce}.1000`, 404, "NOT_FOUND"],
    [`elsewhere.0.${EPOCH.nonce}.1`, 403, "WRONG_CLUSTER"],
    ["no-handle", 400, "BAD_REQUEST"],
  ] as const) {
    const answer = await ask(node, "GET", `/v1/commands/${handle}`);
    expect([handle, answer.statusCode, answer.json().code]).toEqual([handle, status, code]);
  }
});

test("Q3: whose parent is gone says so, after a look, and has the prefix", async () => {
  const hub = new OneCluster("hub");
  const { node, exchange } = await siteOf(hub);
  await node.put("own", "1");
  await exchange();
  hub.run(setHome);
  hub.run(put("config/a", "1"));
  for (let i = 0; i < 3; i++) await exchange();
  const handle = (await ask(node, "PUT", "/v1/kv/config/rate", "5")).json().handle;
  const set = (body: object) => ask(node, "PUT", "/v1/homes", { prefix: "config/", home: "site", ...body });
  expect((await set({})).json()).toMatchObject({ code: "READ_ONLY", message: expect.stringContaining("without hub") });
  expect((await set({ dryRun: true })).json()).toMatchObject({ code: "READ_ONLY" });
  expect((await set({ dryRun: true, without: ["hub"] })).json()).toMatchObject({ dryRun: true, owner: "hub", keys: 1 });
  expect((await ask(node, "GET", "/v1/homes")).json().homes).toHaveLength(1);
  expect((await set({ without: ["hub"] })).json()).toMatchObject({ prefix: "config/", home: "site" });
  expect((await ask(node, "GET", "/v1/homes")).json().homes).toEqual([]);
  expect((await ask(node, "PUT", "/v1/kv/config/a", "2")).statusCode).toBe(200);
  expect((await ask(node, "GET", `/v1/commands/${handle}`)).json()).toMatchObject({
    status: "failed",
    error: { code: "OUTCOME_UNKNOWN" },
  });
});
