import { utf8 } from "@openclaw/core/bytes.ts";
import { index, term } from "@openclaw/core/ids.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { Command } from "@openclaw/core/state-machine/command.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { replay } from "@openclaw/core/state-machine/replay.ts";
import { contentHash } from "@openclaw/core/state-machine/state-hash.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryView } from "../../simulation/memory-view.ts";
import { replayedContent } from "../../simulation/replayed.ts";
import { anyCommand } from "./commands.ts";
import { change, hexed, leaseId, OneCluster, push, put, sha256, txn } from "./one-cluster.ts";

/** Most commands without a session, which nobody opened: those would be refused. */
const working = fc
  .tuple(anyCommand, fc.nat(9))
  .map(
    ([command, draw]): Command => (draw === 0 ? command : { ...command, header: { ...command.header, session: null } }),
  );
const run = fc.array(working, { minLength: 1, maxLength: 25 });

/** After each entry: the live content, and the revision that it stands at. */
function lived(commands: readonly Command[], stamps: readonly number[]) {
  const site = new OneCluster("shop");
  const seen = commands.map((command, i) => {
    const data = encodeCommands([command]);
    site.apply([{ term: term(1), index: index(i + 1), kind: "commands", stamp: stamps[i] ?? 0, data }]);
    return { at: site.position.revision, hash: hexed(contentHash(site.view, sha256).hash) };
  });
  return { site, seen };
}

/** Content rows and origins' marks. */
const rowsOf = (view: MemoryView) => hexed(view.rows().filter(({ key }) => CONTENT_TAGS.has(key[0] ?? 0)));
const CONTENT_TAGS = new Set([0x10, 0x11, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25]);

test("L2: at every revision of any run, the ledger alone gives the content that stood there", () => {
  const kinds = new Map<string, number>();
  fc.assert(
    fc.property(run, fc.array(fc.constantFrom(0, 0, 1, 25), { maxLength: 25 }), (commands, stamps) => {
      const { site, seen } = lived(commands, stamps);
      for (const { at, hash } of seen) expect(hexed(replayedContent(site.ledger.slice(0, at), sha256))).toEqual(hash);
      for (const { events } of site.records)
        for (const event of events) kinds.set(event.kind, (kinds.get(event.kind) ?? 0) + 1);
    }),
    { numRuns: 1_500 },
  );
  // Else it would have shown little.
  for (const kind of ["put", "delete", "change"]) expect(kinds.get(kind)).toBeGreaterThan(30);
});

test("L2: a replay may be cut anywhere, and gives row for row what apply wrote", () => {
  fc.assert(
    fc.property(run, fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 20 }), (commands, lengths) => {
      const { site } = lived(commands, []);
      const view = new MemoryView();
      let rest: readonly StoredRecord[] = site.ledger;
      for (let cut = 0; rest.length > 0; cut++) {
        const length = lengths[cut % lengths.length] ?? 1;
        view.write(replay(sha256, view, rest.slice(0, length)));
        rest = rest.slice(length);
      }
      expect(rowsOf(view)).toEqual(rowsOf(site.view));
    }),
    { numRuns: 200 },
  );
});

test("K6, D2: what the ledger has to tell of leases, quarantine and re-creation", () => {
  const site = new OneCluster("shop");
  const held = (key: string, lease: number | null) =>
    txn(
      [],
      [
        {
          kind: "put",
          key: utf8(key),
          value: utf8("v"),
          lease: lease === null ? null : leaseId(lease),
          previous: false,
        },
      ],
    );
  site.run({ kind: "leaseGrant", lease: leaseId(7), ttlMs: 10 });
  for (const command of [held("a", 7), held("a", null), put("b", "1"), held("b", 7)]) site.run(command);
  site.run({ kind: "deleteRange", keys: { kind: "key", key: utf8("a") } });
  site.run(put("a", "again"));
  // 8 and 2 are one actor's first change: the lower stands, and 9, which needs 8, goes with it.
  site.run(push("log", change(8, "a", 1, [])));
  site.run(push("log", change(9, "b", 1, [8])));
  site.run(push("log", change(2, "a", 1, [])));
  expect(site.key("b")).toMatchObject({ lease: 7, version: 2 });
  expect(site.key("a")).toMatchObject({ version: 1 });
  expect(site.document("log").quarantined).toHaveLength(2);
  const hash = () => hexed(contentHash(site.view, sha256).hash);
  expect(hexed(replayedContent(site.ledger, sha256))).toEqual(hash());
  site.pass(10);
  expect(site.key("b")).toBeNull();
  expect(hexed(replayedContent(site.ledger, sha256))).toEqual(hash());
});
