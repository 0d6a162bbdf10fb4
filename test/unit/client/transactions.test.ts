import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { compareAndSet } from "@openclaw/core/state-machine/compare-and-set.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { siteWithClient } from "../sync/site-with-client.ts";

describe("transactions of a client", () => {
  test("a transaction runs at the site, and its response says what it did there", async () => {
    const { world, site, client } = await siteWithClient();
    const key = (name: string) => ({ kind: "key", key: utf8(name) }) as const;
    const isNew = { target: "version", keys: key("a"), result: "equal", number: 0 } as const;
    const value = utf8("1");
    const put = { kind: "put", key: utf8("a"), value, lease: null, previous: true } as const;
    const look = { kind: "range", ...plainRange(utf8("a"), null, 0) } as const;
    const txn = { kind: "txn", compares: [isNew], success: [put], failure: [look] } as const;
    const first = client.kv.txn(txn);
    value.fill(0x78);
    const second = client.kv.txn(txn);
    await world.flush();
    expect(await first.response).toEqual({
      kind: "txn",
      succeeded: true,
      responses: [{ kind: "put", previous: null }],
    });
    expect(await second.response).toMatchObject({ succeeded: false, responses: [{ rows: [{ value: utf8("1") }] }] });
    expect([await first.site, await second.site]).toEqual([1, 1]);
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0 });
    expect(await site.get("a")).toBe("1");
  });

  test("a transaction that the site refuses tells so by both promises, and is kept as failed", async () => {
    const { world, client } = await siteWithClient();
    const keep = { kind: "put", key: utf8("none"), value: null, lease: null, previous: false } as const;
    const edit = client.kv.txn({ kind: "txn", compares: [], success: [keep], failure: [] });
    await world.flush();
    expect(await codeOf(edit.site)).toBe("NOT_FOUND");
    expect(await codeOf(edit.response)).toBe("NOT_FOUND");
    expect(await client.outbox.list()).toMatchObject([{ refusal: { code: "NOT_FOUND" }, command: { kind: "txn" } }]);
    const twice = { kind: "put", key: utf8("a"), value: utf8("1"), lease: null, previous: false } as const;
    expect(() => client.kv.txn({ kind: "txn", compares: [], success: [twice, twice], failure: [] })).toThrow(
      expect.objectContaining({ code: "DUPLICATE_KEY" }),
    );
  });

  test("S2: transactions that answer much wait for room in what is remembered, each in its place, and none fails", async () => {
    const { world, site, client } = await siteWithClient();
    await site.execute({ kind: "put", key: utf8("big"), value: utf8("v".repeat(200_000)) });
    client.goOffline();
    await world.flush();
    const look = { kind: "range", ...plainRange(utf8("big"), utf8("bih"), 0) } as const;
    const set = (i: number) =>
      ({ kind: "put", key: utf8(`k${i}`), value: utf8(String(i)), lease: null, previous: true }) as const;
    const edits = Array.from({ length: 40 }, (_, i) => [
      client.kv.txn({ kind: "txn", compares: [], success: [set(i), look], failure: [] }).site,
      client.kv.put("order", String(i)).site,
    ]).flat();
    client.goOnline();
    await world.elapse(2_000);
    expect(await Promise.all(edits)).toEqual(edits.map((_, i) => i + 2));
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0, lastError: null });
    expect(site.position().revision).toBe(1 + edits.length);
  });

  test("one in the form of compareAndSet is told as the transaction that it is", async () => {
    const { world, client } = await siteWithClient();
    const edit = client.kv.txn(compareAndSet(utf8("a"), revision(7), utf8("1")));
    await world.flush();
    expect(await edit.response).toMatchObject({ succeeded: false });
    expect(client.status().failed).toBe(0);
  });

  test("a delete of what is not there does nothing, and is no failure", async () => {
    const { world, client } = await siteWithClient();
    const edit = client.kv.delete("none");
    await world.flush();
    expect(await edit.site).toBe(0);
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0 });
  });
});
