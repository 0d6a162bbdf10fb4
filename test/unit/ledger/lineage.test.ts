import { type Epoch, type Lineage, PARTITION, revision } from "@openclaw/core/ids.ts";
import { genesisHash } from "@openclaw/core/ledger/chain.ts";
import {
  beginningOf,
  chainedTo,
  departed,
  knownOf,
  partingOf,
  seamsOf,
  spanAt,
  spansOf,
} from "@openclaw/core/ledger/lineage.ts";
import { judge } from "@openclaw/core/ledger/lives.ts";
import { describe, expect, test } from "vitest";
import { clusterId, sha256 } from "../state-machine/one-cluster.ts";

const SHOP = clusterId("shop");
const hashOf = (digit: number): Uint8Array => new Uint8Array(32).fill(digit);

const first: Epoch = { counter: 1, nonce: "1".repeat(32), parent: null, departure: revision(0) };
const FIRST: Lineage = { epoch: first, ancestors: [] };

/** Departs at `at`, where the hash is that number. */
function from(before: Lineage, digit: string, at: number): Lineage {
  const { nonce: parent, counter } = before.epoch;
  const epoch = { counter: counter + 1, nonce: digit.repeat(32), parent, departure: revision(at) };
  return departed(before, epoch, hashOf(at));
}

const shown = (lineage: Lineage): string =>
  spansOf(lineage)
    .map(({ epoch, after, to }) => `${epoch.nonce[0]}:${after + 1}-${to ?? ""}`)
    .join(" ");

describe("L3: the epochs of a ledger", () => {
  test("each wrote a part of it, and one that was left behind altogether none", () => {
    expect(shown(FIRST)).toBe("1:1-");
    const second = from(FIRST, "2", 100);
    expect(shown(second)).toBe("1:1-100 2:101-");
    expect(shown(from(second, "3", 150))).toBe("1:1-100 2:101-150 3:151-");
    expect(shown(from(second, "3", 50))).toBe("1:1-50 3:51-");
    expect(shown(from(second, "3", 100))).toBe("1:1-100 3:101-");
    expect(spanAt(second, 100)?.epoch).toEqual(first);
    expect(spanAt(second, 101)?.epoch).toEqual(second.epoch);
  });

  test("two ledgers part where the first of their epochs that they do not share departed", () => {
    const second = from(FIRST, "2", 100);
    const other = from(FIRST, "a", 80);
    expect(partingOf(second, second)).toBe("same");
    expect(partingOf(FIRST, second)).toEqual({ revision: 100, hash: hashOf(100) });
    expect(partingOf(second, other)).toEqual({ revision: 80, hash: hashOf(80) });
    expect(partingOf(from(second, "3", 50), other)).toEqual({ revision: 50, hash: hashOf(50) });
    const stranger = { epoch: { ...first, nonce: "f".repeat(32) }, ancestors: [] };
    expect(partingOf(second, stranger)).toBeNull();
  });

  test("who knows a life that was left knows of another what both have", () => {
    const third = from(from(FIRST, "2", 100), "3", 50);
    const known = (epoch: string, at: number) =>
      Number(knownOf(third, { epoch: epoch.repeat(32), revision: revision(at) }));
    expect([known("3", 70), known("2", 120), known("2", 40), known("1", 200), known("f", 70)]).toEqual([
      70, 50, 40, 50, 0,
    ]);
  });

  test("a revision has one hash, and what follows a departure is chained to both epochs", () => {
    const second = from(FIRST, "2", 3);
    expect(beginningOf(sha256, SHOP, PARTITION, second)).toEqual(genesisHash(sha256, SHOP, PARTITION, first.nonce));
    const seams = seamsOf(sha256, SHOP, PARTITION, second);
    for (const at of [1, 2, 4]) expect(seams(revision(at), hashOf(at))).toEqual(hashOf(at));
    const seam = seams(revision(3), hashOf(3));
    expect(seam).not.toEqual(hashOf(3));
    expect(chainedTo(sha256, SHOP, PARTITION, second.epoch, revision(3), hashOf(3))).toEqual(seam);
    const other = from(FIRST, "a", 3);
    expect(chainedTo(sha256, SHOP, PARTITION, other.epoch, revision(3), hashOf(3))).not.toEqual(seam);
    // The first epoch departed from nothing.
    expect(chainedTo(sha256, SHOP, PARTITION, first, revision(0), hashOf(0))).toEqual(hashOf(0));
  });
});

describe("L3: what a claim of a life means to whoever holds another's ledger", () => {
  const second = from(FIRST, "2", 100);
  const third = from(second, "3", 150);
  const rival = from(FIRST, "a", 80);
  const held = (lineage: Lineage, cursor: number) => ({ ...lineage, cursor: revision(cursor) });

  test.each([
    ["nothing was taken", null, second, "first"],
    ["it is the one", held(second, 120), second, "same"],
    ["it departed at the cursor", held(FIRST, 100), second, "successor"],
    ["it departed above the cursor", held(FIRST, 60), second, "successor"],
    ["it departed below the cursor", held(FIRST, 101), second, "behind"],
    ["it is two epochs on", held(FIRST, 100), third, "successor"],
    ["it is one that was left", held(second, 120), FIRST, "older"],
    ["it is of the same counter", held(second, 100), rival, "rival"],
    ["it is later, and of another line", held(second, 100), from(rival, "b", 90), "rival"],
    ["it is of a line that ended", held(third, 150), rival, "older"],
  ] as const)("%s", (_, before, claimed, kind) => {
    expect(judge(before, claimed).kind).toBe(kind);
  });
});
