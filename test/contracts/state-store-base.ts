/** What every StateStore must do of bases, whatever it stands on. */
import { equalBytes } from "@openclaw/core/bytes.ts";
import type { BasePart } from "@openclaw/core/history/base.ts";
import { decodeBasePart } from "@openclaw/core/history/base-codec.ts";
import { index } from "@openclaw/core/ids.ts";
import type { StateBase, StateStore } from "@openclaw/core/ports.ts";
import { isContent } from "@openclaw/core/state-machine/keyspace.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { putAt, type StateDisk } from "./state-store.ts";

export async function partsOf(base: StateBase): Promise<readonly BasePart[]> {
  const parts: BasePart[] = [];
  for await (const part of base.parts()) parts.push(decodeBasePart(part));
  return parts;
}

export function stateStoreBaseContract(name: string, create: () => StateDisk): void {
  describe(`${name} and its bases`, () => {
    let disk: StateDisk;
    let store: StateStore;

    beforeEach(async () => {
      disk = create();
      store = disk.store();
      await store.open();
    });
    afterEach(async () => {
      await store.close();
      await disk.destroy();
    });

    test("a base is the content as of one revision, whatever is applied while it is read", async () => {
      for (let at = 1; at <= 300; at++) await store.apply([putAt(at, `key ${at % 70}`, "x".repeat(2_000))]);
      const { content, position } = await store.read({ kind: "stateHash" });
      const base = await store.base(index(300));
      const parts: BasePart[] = [];
      let at = 300;
      for await (const part of base.parts()) {
        parts.push(decodeBasePart(part));
        at++;
        await store.apply([putAt(at, `key ${at % 70}`, "later")]);
      }
      await base.dispose();
      await base.dispose();
      const [head] = parts;
      expect(head).toMatchObject({ kind: "head", last: { revision: 300 } });
      expect(head?.kind === "head" && equalBytes(head.last.hash, position.hash)).toBe(true);
      expect(parts.at(-1)).toEqual({ kind: "end", content });
      const rows = parts.flatMap((part) => (part.kind === "rows" ? part.rows : []));
      expect(rows.filter(({ key }) => isContent(key))).toHaveLength(70);
      expect(parts.length).toBeGreaterThan(3);
      expect(rows.map(({ stamp }) => Number(stamp?.at)).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 70 }, (_, i) => 231 + i),
      );
      expect(rows.every(({ stamp }) => stamp?.principal === "tester")).toBe(true);
    });

    test("X1: there is none of a state in which nothing was written", async () => {
      const base = await store.base(index(0));
      await expect(partsOf(base)).rejects.toMatchObject({ code: "BAD_REQUEST" });
      await base.dispose();
    });
  });
}
