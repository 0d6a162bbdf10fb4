/** What every StateStore hands on of transactions and leases, whatever lies between apply and its caller. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { index, isLeaseId, term } from "@openclaw/core/ids.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { commandsAt, type StateDisk, textUnder } from "./state-store.ts";

export function stateStoreKeysContract(name: string, create: () => StateDisk): void {
  describe(`${name} as a store of keys`, () => {
    test("a transaction's response comes back whole, and the position says when the next lease is due", async () => {
      const disk = create();
      const store = disk.store();
      await store.open();
      const lease = 7;
      if (!isLeaseId(lease)) throw new Error("a lease");
      const value = new Uint8Array([0, 255]);
      const applied = await store.apply([
        commandsAt(1, [
          { kind: "leaseGrant", lease, ttlMs: 5_000 },
          {
            kind: "txn",
            compares: [],
            success: [
              { kind: "put", key: utf8("a"), value, lease, previous: true },
              { kind: "range", ...plainRange(utf8("a"), null, 0), counted: true },
            ],
            failure: [],
          },
        ]),
      ]);
      const [, { result } = { result: null }] = applied.results;
      expect(result?.kind === "outcome" && result.outcome).toMatchObject({
        ok: true,
        revision: 1,
        response: {
          succeeded: true,
          responses: [{ previous: null }, { count: 1, more: false, rows: [{ modRevision: 1, version: 1, lease }] }],
        },
      });
      expect(applied.position.nextDue).toBe(5_000);
      const range = await store.read({ kind: "range", origin: null, ...plainRange(utf8("a"), null, 0) });
      expect(range.rows.map((row) => [...row.value])).toEqual([[0, 255]]);
      await store.apply([{ term: term(1), index: index(2), kind: "noop", stamp: 5_000, data: new Uint8Array() }]);
      expect(await textUnder(store, "a")).toBe(null);
      expect((await store.read({ kind: "lease", lease })).lease).toBe(null);
      await store.close();
      await disk.destroy();
    });
  });
}
