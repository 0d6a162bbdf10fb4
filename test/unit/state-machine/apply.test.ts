import { utf8 } from "@openclaw/core/bytes.ts";
import { encode } from "@openclaw/core/codec.ts";
import { index, revision, term } from "@openclaw/core/ids.ts";
import { chainHash, genesisHash, leafHash } from "@openclaw/core/ledger/chain.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import { APPLY_VERSIONS, createApply } from "@openclaw/core/state-machine/apply.ts";
import type { Command } from "@openclaw/core/state-machine/command.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { initialWrites } from "@openclaw/core/state-machine/position.ts";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { MemoryView } from "../../simulation/memory-view.ts";
import { anyCommand } from "./commands.ts";
import { clusterId, epoch, header, hexed, OneCluster, ok, put, sha256 } from "./one-cluster.ts";

const entriesOf = (batches: readonly (readonly Command[])[]): Entry[] =>
  // Entries far apart, so that the uses of sessions fall into several moments.
  batches.map((batch, i) => ({
    term: term(1),
    index: index(1 + i * 400),
    kind: "commands",
    stamp: i % 3,
    data: encodeCommands(batch),
  }));

/** Applies entries in the runs that `cuts` makes of them. */
function applied(entries: readonly Entry[], cuts: (i: number) => boolean) {
  const site = new OneCluster("california");
  const results = [];
  let run: Entry[] = [];
  for (const [i, entry] of entries.entries()) {
    run.push(entry);
    if (!cuts(i)) continue;
    results.push(...site.apply(run));
    run = [];
  }
  results.push(...site.apply(run));
  const { ledger, view, rounds } = site;
  return {
    ledger,
    compared: hexed({ rows: view.rows(), ledger, results, rounds, state: site.query({ kind: "stateHash" }) }),
  };
}

const log = fc.array(fc.array(anyCommand, { maxLength: 4 }), { maxLength: 25 });

describe("apply", () => {
  test("R9: replicas that cut the log into different runs end with the same rows, records and results", () => {
    fc.assert(
      fc.property(log, fc.array(fc.boolean(), { minLength: 25, maxLength: 25 }), (batches, cuts) => {
        const entries = entriesOf(batches);
        const inOneRun = applied(entries, () => false).compared;
        expect(applied(entries, () => true).compared).toEqual(inOneRun);
        expect(applied(entries, (i) => cuts[i] ?? false).compared).toEqual(inOneRun);
      }),
      { numRuns: 150 },
    );
  });

  test("R9: apply reads no clock and no random source", () => {
    const entries = entriesOf(fc.sample(log, { seed: 3, numRuns: 20 }).flat());
    const before = applied(entries, () => false).compared;
    const poison = (): never => {
      throw new Error("not deterministic");
    };
    vi.spyOn(Date, "now").mockImplementation(poison);
    vi.spyOn(Math, "random").mockImplementation(poison);
    vi.spyOn(globalThis.crypto, "getRandomValues").mockImplementation(poison);
    vi.stubGlobal("Date", poison);
    try {
      expect(applied(entries, (i) => i % 3 === 0).compared).toEqual(before);
    } finally {
      vi.unstubAllGlobals();
      vi.restoreAllMocks();
    }
  });

  test("R9: the same view and entries give the same outcome, and the view is only read", () => {
    const view = new MemoryView();
    view.write(initialWrites(clusterId("california"), epoch("a"), sha256));
    const rows = view.rows();
    const apply = createApply(sha256, clusterId("california"), APPLY_VERSIONS);
    const entries = entriesOf(fc.sample(log, { seed: 5, numRuns: 5 }).flat());
    expect(hexed(apply(view, entries))).toEqual(hexed(apply(view, entries)));
    expect(hexed(view.rows())).toEqual(hexed(rows));
  });

  test("at most one write a key", () => {
    const view = new MemoryView();
    view.write(initialWrites(clusterId("california"), epoch("a"), sha256));
    const entries = entriesOf(fc.sample(log, { seed: 6, numRuns: 10 }).flat());
    const { writes } = createApply(sha256, clusterId("california"), APPLY_VERSIONS)(view, entries);
    expect(new Set(writes.map(({ key }) => key.join())).size).toBe(writes.length);
  });

  test("L2: every record is chained to the one before, from a genesis that is the epoch's own", () => {
    const { ledger } = applied(entriesOf(fc.sample(log, { seed: 9, numRuns: 120 }).flat()), () => false);
    expect(ledger.length).toBeGreaterThan(20);
    let hash = genesisHash(sha256, clusterId("california"), 0, epoch("a").nonce);
    for (const [i, stored] of ledger.entries()) {
      expect(stored.revision).toBe(i + 1);
      hash = chainHash(sha256, hash, 0, stored.revision, leafHash(sha256, stored.record));
      expect(stored.hash).toEqual(hash);
    }
  });

  test("R9: bytes that are no commands have no effect and stop nobody", () => {
    const site = new OneCluster("california");
    const before = site.view.rows();
    expect(site.commitBytes(utf8("garbage"))).toEqual([]);
    expect(site.commitBytes(new Uint8Array(0))).toEqual([]);
    expect(site.commitBytes(encode([99, []]))).toEqual([]);
    expect(site.commitBytes(encode([1, [[], 7, null]]))).toEqual([]);
    expect(site.apply([{ term: term(1), index: index(9), kind: "noop", stamp: 0, data: new Uint8Array(0) }])).toEqual(
      [],
    );
    expect(hexed(site.view.rows())).toEqual(hexed(before));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(site.commitBytes(bytes)).toEqual([]);
      }),
    );
  });

  test("R9: no altered batch stops a replica, and no command in it runs in part", () => {
    const batches = fc.sample(fc.array(anyCommand, { minLength: 1, maxLength: 6 }), { seed: 4, numRuns: 40 });
    const encoded = batches.map((batch) => encodeCommands(batch));
    const spots = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(39), spots), { maxLength: 12 }), (rounds) => {
        const site = new OneCluster("california");
        for (const [which, changes] of rounds) {
          const bytes = encoded[which]?.slice() ?? new Uint8Array(0);
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          site.commitBytes(bytes);
        }
        site.query({ kind: "links" });
        site.document("log");
        expect(site.position.revision).toBe(site.ledger.length);
      }),
      { numRuns: 300 },
    );
  });

  test("R9: in a batch with one command that cannot be read, the others run", () => {
    const site = new OneCluster("california");
    const tuple = ["ada", 1, new Uint8Array(16), 1, "00", null];
    const good = [tuple, [0, utf8("a"), utf8("x")]];
    const unknown = [tuple, [77, utf8("a")]];
    expect(site.commitBytes(encode([1, [good, unknown, good]]))).toMatchObject([
      { outcome: ok(1) },
      { outcome: ok(2) },
    ]);
  });

  test("results carry what finds their waiter", () => {
    const view = new MemoryView();
    view.write(initialWrites(clusterId("california"), epoch("a"), sha256));
    const { results } = createApply(
      sha256,
      clusterId("california"),
      APPLY_VERSIONS,
    )(view, entriesOf([[{ header: header(7), ...put("a", "x") }]]));
    expect(results).toEqual([
      { proposer: "00112233aabbccdd", request: 7, result: { kind: "outcome", outcome: ok(1) } },
    ]);
  });

  test("D6: the state hash covers every row and nothing else", () => {
    const [one, other] = [new OneCluster("california"), new OneCluster("california")];
    for (const site of [one, other]) site.run(put("a", "x".repeat(70_000)));
    const hash = one.query({ kind: "stateHash" });
    expect(hash).toEqual(other.query({ kind: "stateHash" }));
    expect(hash).toMatchObject({ rows: 2, position: { revision: revision(1) } });
    other.view.write([{ key: Uint8Array.of(0x10, 98), value: utf8("planted") }]);
    expect(other.query({ kind: "stateHash" }).hash).not.toEqual(hash.hash);
  });
});
