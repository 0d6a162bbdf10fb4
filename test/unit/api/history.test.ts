import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "./node.ts";
import { EventReader } from "./sse.ts";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());

const ask = (url: string, headers: Record<string, string> = {}) => node.app.inject({ method: "GET", url, headers });
const edit = (url: string, payload: object) => node.app.inject({ method: "POST", url, payload });

describe("time travel", () => {
  test("a key is told as of a revision, with its revisions then", async () => {
    const before = await node.put("was/b", "0");
    const first = await node.put("was/a", "1");
    const second = await node.put("was/a", "2");
    const then = await ask(`/v1/kv/was/a?revision=${first}`);
    expect(then.body).toBe("1");
    expect(then.headers).toMatchObject({
      "x-openclaw-revision": String(first),
      "x-openclaw-mod-revision": String(first),
      "x-openclaw-version": "1",
    });
    expect((await ask(`/v1/kv/was/a?revision=${second}`)).body).toBe("2");
    expect((await ask(`/v1/kv/was/a?revision=${before}`)).statusCode).toBe(404);
  });

  test("a range at a revision keeps its limits, its sort and its count", async () => {
    await node.put("list/a", "1");
    await node.put("list/b", "2");
    const at = await node.put("list/c", "3");
    await node.put("list/a", "later");
    await node.app.inject({ method: "DELETE", url: "/v1/kv/list/b" });
    const answer = await ask(`/v1/kv?prefix=list/&revision=${at}&limit=2&order=descending&count=true`);
    expect(answer.json()).toMatchObject({
      revision: at,
      more: true,
      count: 3,
      rows: [
        { key: "list/c", text: "3" },
        { key: "list/b", text: "2" },
      ],
    });
    expect((await ask(`/v1/kv?prefix=list/&revision=${at}&view=keys`)).json().rows[0]).not.toHaveProperty("value");
    expect((await ask(`/v1/kv?prefix=list/&revision=${at}&view=count`)).json()).toMatchObject({ count: 3, rows: [] });
  });

  test("a revision to come is REVISION_AHEAD; one that is none, or beside a time, is BAD_REQUEST", async () => {
    const ahead = await ask("/v1/kv/was/a?revision=999999");
    expect([ahead.statusCode, ahead.json().code]).toEqual([409, "REVISION_AHEAD"]);
    for (const query of [
      "revision=0",
      "revision=-1",
      "revision=1.5",
      "revision=x",
      "revision=1&time=5",
      "time=noon",
      "time=",
    ]) {
      const refused = await ask(`/v1/kv/was/a?${query}`);
      expect([query, refused.json().code]).toEqual([query, "BAD_REQUEST"]);
    }
  });

  test("T2: a time is the last revision stamped by then; before the first one there is none", async () => {
    await node.put("when", "1");
    await expect.poll(() => Date.now()).toBeGreaterThan((await versions("when"))[0]?.time ?? 0);
    const between = Date.now();
    await expect.poll(() => Date.now()).toBeGreaterThan(between);
    await node.put("when", "2");
    const then = await ask(`/v1/kv/when?time=${new Date(between).toISOString()}`);
    expect(then.body).toBe("1");
    expect(then.headers["x-openclaw-time-ambiguous"]).toBe("false");
    expect((await ask(`/v1/kv/when?time=${between}`)).body).toBe("1");
    expect((await ask("/v1/kv/when?time=9999-01-01")).body).toBe("2");
    const early = await ask("/v1/kv/when?time=1999-12-31T23:59:59Z");
    expect(early.json()).toMatchObject({ code: "BAD_REQUEST", message: expect.stringContaining("the first is of") });
  });

  test("a document is told as of a revision, as JSON and as bytes", async () => {
    const put = (value: number) => ({ ops: [{ op: "put", path: ["n"], value }] });
    const first = (await edit("/v1/docs/notes/was", put(1))).json();
    const second = (await edit("/v1/docs/notes/was", put(2))).json();
    const then = (await ask(`/v1/docs/notes/was?revision=${first.revision}`)).json();
    expect(then).toMatchObject({ document: { n: 1 }, heads: first.heads });
    expect((await ask(`/v1/docs/notes/was?revision=${second.revision}`)).json().document).toEqual({ n: 2 });
    expect((await ask("/v1/docs/notes/was")).json().document).toEqual({ n: 2 });
    const bytes = await ask(`/v1/docs/notes/was?revision=${first.revision}`, { accept: "application/octet-stream" });
    expect(bytes.headers["x-openclaw-heads"]).toBe(first.heads.join(" "));
    expect((await ask(`/v1/docs/notes/was?revision=${first.revision - 1}`)).statusCode).toBe(404);
    expect((await ask("/v1/docs/notes/was?revision=999999")).json().code).toBe("REVISION_AHEAD");
  });
});

describe("compaction", () => {
  test("what was before is COMPACTED for reads, histories, documents and watches; what is kept is told", async () => {
    await node.put("old", "1");
    const { revision: changed } = (
      await edit("/v1/docs/notes/old", { ops: [{ op: "put", path: ["n"], value: 1 }] })
    ).json();
    const at = await node.put("old", "2");
    await node.put("old", "3");
    const compact = (revision: number) => edit("/v1/compact", { revision });
    expect((await compact(at)).json()).toEqual({ compacted: at });
    expect([(await compact(at)).json().code, (await compact(at - 1)).json().code]).toEqual(["COMPACTED", "COMPACTED"]);
    expect((await compact(999_999)).json().code).toBe("REVISION_AHEAD");
    expect((await compact(0)).json().code).toBe("BAD_REQUEST");
    for (const url of ["/v1/kv/old", "/v1/kv", "/v1/docs/notes/old"]) {
      const refused = await ask(`${url}?revision=${at - 1}`);
      expect([url, refused.statusCode, refused.json().code]).toEqual([url, 410, "COMPACTED"]);
    }
    expect((await ask("/v1/kv/old?time=1000")).json().code).toBe("COMPACTED");
    expect((await ask(`/v1/kv/old?revision=${at}`)).body).toBe("2");
    expect((await versions("old")).map(({ text }) => text)).toEqual(["3", "2"]);
    expect((await ask("/v1/docs/notes/old")).json()).toMatchObject({ document: { n: 1 } });
    expect((await ask(`/v1/docs/notes/old?revision=${at}`)).json()).toMatchObject({ document: { n: 1 } });
    expect(changed).toBe(at - 1);
    expect((await ask("/v1/status")).json().compacted).toBe(at);
    const watch = await EventReader.open(`${await node.listen()}/v1/watch?from=${at - 1}`);
    const received = await watch.until((events) => events.some(({ event }) => event === "closed"));
    expect(received.at(-1)).toMatchObject({ event: "closed", data: { code: "COMPACTED" } });
  });
});

const versions = async (path: string): Promise<{ revision: number; time: number; deleted: boolean; text?: string }[]> =>
  (await ask(`/v1/history/${path}`)).json().versions;

describe("the history of a key", () => {
  test("has who, when and what, newest first, by pages", async () => {
    await node.put("till/1", "open");
    await node.put("till/1", "closed");
    const { revision: gone } = (await node.app.inject({ method: "DELETE", url: "/v1/kv/till/1" })).json();
    const all = (await ask("/v1/history/till%2F1")).json();
    expect(all).toMatchObject({
      more: false,
      versions: [
        { revision: gone, deleted: true, version: 0, principal: "anonymous" },
        { revision: gone - 1, deleted: false, text: "closed", version: 2, createRevision: gone - 2, principal: "test" },
        { revision: gone - 2, deleted: false, text: "open", version: 1, time: expect.any(Number) },
      ],
    });
    expect(all.versions[0]).not.toHaveProperty("value");
    const page = (await ask(`/v1/history/till/1?limit=1&before=${gone}`)).json();
    expect(page).toMatchObject({ more: true, versions: [{ revision: gone - 1 }] });
  });

  test("of a key that never was it is empty; a bad key is refused; any bytes are a key", async () => {
    expect((await ask("/v1/history/never")).json()).toEqual({ more: false, versions: [] });
    expect((await ask("/v1/history/")).json().code).toBe("KEY_EMPTY");
    expect((await ask("/v1/history/a%zz")).json().code).toBe("BAD_REQUEST");
    expect((await ask("/v1/history/a?limit=0")).json().code).toBe("BAD_REQUEST");
    const odd = Uint8Array.of(0, 255, 0, 1);
    const at = await node.put(odd, "odd");
    await node.put(Uint8Array.of(0, 255, 0), "shorter");
    expect(await versions("%00%ff%00%01")).toMatchObject([{ revision: at, text: "odd" }]);
  });
});
