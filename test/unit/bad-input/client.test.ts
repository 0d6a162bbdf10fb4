/** X1 over the sync client: the exact bytes come back, or an error with a code; the link stays up. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { isErrorCode } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import { KEY_BYTES_MAX, TXN_OPERATIONS_MAX, VALUE_BYTES_MAX } from "@openclaw/core/limits.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { NAUGHTY, NAUGHTY_TEXTS } from "./naughty.ts";

const KEYS = NAUGHTY.filter((key) => key.length > 0);

describe("naughty strings", () => {
  test("X1: as keys and values of puts and transactions come back byte for byte, by get, range and watch", async () => {
    const { world, site, client } = await siteWithClient();
    const watched: (readonly [Uint8Array, Uint8Array | null])[] = [];
    client.kv.watch(new Uint8Array(), (events) => {
      for (const event of events) watched.push([event.key, event.kind === "put" ? event.value : null]);
    });
    await world.flush();
    const puts = KEYS.map((key) => client.kv.put(key, key));
    await world.elapse(2_000);
    expect(await Promise.all(puts.map(({ site: at }) => at))).toEqual(KEYS.map((_, i) => i + 1));
    const look = KEYS.map((key) => ({ kind: "range", ...plainRange(key, null, 1) }) as const);
    for (const [i, key] of KEYS.entries()) {
      const row = client.kv.get(key);
      const ran = client.kv.txn({ kind: "txn", compares: [], success: look.slice(i, i + 1), failure: [] });
      await world.flush();
      expect((await row)?.value).toEqual(key);
      expect((await ran.response).responses).toMatchObject([{ rows: [{ key, value: key }] }]);
    }
    const { rows } = await site.read({ kind: "range", origin: null, ...plainRange(new Uint8Array(), null, 0) });
    expect(rows.map(({ key }) => key)).toEqual([...KEYS].sort(Buffer.compare));
    expect(watched).toEqual(KEYS.map((key) => [key, key]));
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0, lastError: null });
  }, 60_000);

  test("X1: as collections and documents, and as names and texts in them: as they were, or refused with a code", async () => {
    const { world, site, client } = await siteWithClient();
    const opened: string[] = [];
    // Alone, a surrogate would become the replacement character, and the document another one of that name.
    for (const text of [...NAUGHTY_TEXTS, "\ud800", "a\udc00"]) {
      const opening = client.docs
        .open<Record<string, unknown>>("naughty", text, { initial: { text: "" } })
        .catch((error: unknown) => error);
      await world.flush();
      const handle = await opening;
      if (typeof handle !== "object" || handle === null || !("change" in handle)) {
        expect(isErrorCode(await codeOf(Promise.reject(handle))), text).toBe(true);
        continue;
      }
      opened.push(text);
    }
    await world.elapse(2_000);
    const { documents } = await site.read({ kind: "documents", collection: "naughty" });
    expect([...documents].sort()).toEqual([...opened].sort());
    expect(opened).toEqual(expect.arrayContaining(["__proto__", "constructor", "a\0b", "..", "\uFEFFbom"]));
    expect(opened.every((text) => text.isWellFormed() && utf8(text).length <= 255)).toBe(true);
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0, lastError: null });
  }, 60_000);
});

describe("what is too large, or of the future", () => {
  const set = (key: Uint8Array, value: Uint8Array) =>
    ({ kind: "put", key, value, lease: null, previous: false }) as const;
  const a = utf8("a");
  const large = new Uint8Array(VALUE_BYTES_MAX);

  test("X1: a put, a transaction and a delete are refused with a code before anything is sent", async () => {
    const { world, site, client } = await siteWithClient();
    const many = Array.from({ length: TXN_OPERATIONS_MAX + 1 }, (_, i) => set(utf8(`${i}`), a));
    const cases: readonly (readonly [string, () => unknown])[] = [
      ["BAD_REQUEST", () => client.kv.put("\ud800", "v")],
      ["BAD_REQUEST", () => client.kv.put("a", "half \udfff")],
      ["BAD_REQUEST", () => client.kv.watch("\ud800", () => undefined)],
      ["KEY_EMPTY", () => client.kv.put("", "v")],
      ["KEY_TOO_LARGE", () => client.kv.put(new Uint8Array(KEY_BYTES_MAX + 1), "v")],
      ["VALUE_TOO_LARGE", () => client.kv.put("a", new Uint8Array(VALUE_BYTES_MAX + 1))],
      ["KEY_EMPTY", () => client.kv.delete("")],
      ["TXN_TOO_LARGE", () => client.kv.txn({ kind: "txn", compares: [], success: many, failure: [] })],
      [
        "TXN_TOO_LARGE",
        () =>
          client.kv.txn({
            kind: "txn",
            compares: [],
            success: [1, 2, 3, 4].map((i) => set(utf8(`${i}`), large)),
            failure: [],
          }),
      ],
    ];
    for (const [code, run] of cases) expect(run, code).toThrow(expect.objectContaining({ code }));
    await world.flush();
    expect(site.position().revision).toBe(0);
    expect(client.status()).toMatchObject({ unsynced: 0, failed: 0, lastError: null });
  });

  test("X1: compares and bounds of a revision that is not there yet hold for nothing, and break nothing", async () => {
    const { world, client } = await siteWithClient();
    client.kv.put("a", "1");
    const far = revision(Number.MAX_SAFE_INTEGER);
    const keys = { kind: "key", key: a } as const;
    const bounds = { minModRevision: far, maxModRevision: far, minCreateRevision: far, maxCreateRevision: far };
    const ran = client.kv.txn({
      kind: "txn",
      compares: [{ target: "modRevision", keys, result: "equal", number: far }],
      success: [],
      failure: [{ kind: "range", ...plainRange(a, null, 1), bounds }],
    });
    await world.flush();
    expect(await ran.response).toMatchObject({ succeeded: false, responses: [{ rows: [], more: false }] });
  });
});
