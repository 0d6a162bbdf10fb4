import { revision } from "@openclaw/core/ids.ts";
import {
  chainHash,
  derivedSalt,
  genesisHash,
  hashAfter,
  isContiguous,
  leafHash,
  verifyRun,
} from "@openclaw/core/ledger/chain.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { clusterId, sha256 } from "../state-machine/one-cluster.ts";

const genesis = genesisHash(sha256, clusterId("california"), 0, "a".repeat(32));

/** A ledger of `records`, each named by a byte, with the hash after each. */
function chained(records: readonly number[]) {
  const items: LinkItem[] = [];
  const hashes = [genesis];
  for (const [i, byte] of records.entries()) {
    const record = new Uint8Array([1, byte]);
    items.push({ kind: "body", revision: revision(i + 1), record });
    hashes.push(chainHash(sha256, hashes[i] ?? genesis, 0, revision(i + 1), leafHash(sha256, record)));
  }
  return { items, hashes };
}

test("L3: the genesis is bound to cluster and epoch", () => {
  const others = [
    genesisHash(sha256, clusterId("alaska"), 0, "a".repeat(32)),
    genesisHash(sha256, clusterId("california"), 0, "b".repeat(32)),
  ];
  for (const other of others) expect(other).not.toEqual(genesis);
});

test("L2: any split of a ledger verifies, and stubs and skips stand for bodies", () => {
  const records = fc.array(fc.nat(255), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(
      records,
      fc.nat(),
      fc.array(fc.constantFrom("body", "stub"), { minLength: 12, maxLength: 12 }),
      (all, cut, kinds) => {
        const { items, hashes } = chained(all);
        const at = cut % (all.length + 1);
        const [middle, end] = [hashes[at] ?? genesis, hashes[all.length] ?? genesis];
        expect(verifyRun(sha256, genesis, 0, items.slice(0, at), middle)).toBe(true);
        expect(verifyRun(sha256, middle, 0, items.slice(at), end)).toBe(true);
        const mixed = items.map(
          (item, i): LinkItem =>
            item.kind === "body" && kinds[i] === "stub"
              ? { kind: "stub", revision: item.revision, leaf: leafHash(sha256, item.record), reason: "private" }
              : item,
        );
        expect(hashAfter(sha256, genesis, 0, mixed)).toEqual(end);
        if (at === 0) return;
        const skip: LinkItem = { kind: "skip", from: revision(1), to: revision(at), hash: middle };
        expect(verifyRun(sha256, genesis, 0, [skip, ...items.slice(at)], end)).toBe(true);
      },
    ),
  );
});

test("L3: a changed, exchanged or renumbered record gives another hash", () => {
  const { items, hashes } = chained([1, 2, 3]);
  const end = hashes[3] ?? genesis;
  const [first, second, third] = items;
  if (first?.kind !== "body" || second?.kind !== "body" || third === undefined) throw new Error("bodies");
  const exchanged = [{ ...first, record: second.record }, { ...second, record: first.record }, third];
  const renumbered = [{ ...first, revision: revision(2 ** 32 + 1) }, second, third];
  for (const other of [exchanged, renumbered, [first, third]])
    expect(verifyRun(sha256, genesis, 0, other, end)).toBe(false);
});

test("a run is contiguous, or it is no run", () => {
  const body = (at: number): LinkItem => ({ kind: "body", revision: revision(at), record: new Uint8Array() });
  const skip = (from: number, to: number): LinkItem => ({
    kind: "skip",
    from: revision(from),
    to: revision(to),
    hash: genesis,
  });
  expect(isContiguous([])).toBe(true);
  expect(isContiguous([body(4), skip(5, 9), body(10)])).toBe(true);
  for (const bad of [[body(0)], [body(1), body(3)], [body(1), body(1)], [skip(3, 2)], [skip(1, 4), body(4)]]) {
    expect(isContiguous(bad)).toBe(false);
  }
});

test("L2: a derived salt has 16 bytes, one for each revision, that only the command's salt gives", () => {
  const salt = new Uint8Array(16).fill(1);
  expect(derivedSalt(sha256, salt, revision(1))).toHaveLength(16);
  expect(derivedSalt(sha256, salt, revision(1))).not.toEqual(derivedSalt(sha256, salt, revision(2)));
  expect(derivedSalt(sha256, salt, revision(1))).not.toEqual(derivedSalt(sha256, new Uint8Array(16), revision(1)));
});
