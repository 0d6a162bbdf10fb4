/** A document as of each of its revisions, beside what it was when that revision was the last. */
import { revision } from "@openclaw/core/ids.ts";
import { genesisHash, hashAfter } from "@openclaw/core/ledger/chain.ts";
import type { DocumentChange, LinkItem } from "@openclaw/core/ledger/record.ts";
import { encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { change, clusterId, epoch, linkId, OneCluster, sha256 } from "./one-cluster.ts";

/** Each change depends on earlier ones; a number may be given twice to one actor, so that one of two loses (D2). */
const changes: fc.Arbitrary<readonly DocumentChange[]> = fc
  .array(
    fc.record({
      actor: fc.constantFrom("a", "b"),
      seq: fc.integer({ min: 1, max: 3 }),
      deps: fc.array(fc.nat(), { maxLength: 2 }),
    }),
    {
      minLength: 1,
      maxLength: 9,
    },
  )
  .map((specs) =>
    specs.map(({ actor, seq, deps }, i) => {
      const earlier = i === 0 ? [] : [...new Set(deps.map((dep) => (dep % i) + 1))];
      return change(i + 1, actor, seq, earlier);
    }),
  );

/** Brings them over a link one by one, in any order: what lacks its dependencies waits (D3). */
function bring(site: OneCluster, order: readonly DocumentChange[]): void {
  let hash = genesisHash(sha256, clusterId("alaska"), 0, epoch("b").nonce);
  order.forEach((one, i) => {
    const at = revision(i + 1);
    const record = encodeRecord({
      partition: 0,
      revision: at,
      time: 5,
      principal: "bob",
      origin: null,
      link: null,
      salt: new Uint8Array(16),
      home: "site",
      events: [{ kind: "change", collection: "notes", document: "log", change: one, encryption: null }],
    });
    const items: LinkItem[] = [{ kind: "body", revision: at, record }];
    hash = hashAfter(sha256, hash, 0, items);
    site.system({
      kind: "importLedger",
      side: "child",
      link: linkId("alaska"),
      cluster: clusterId("alaska"),
      epoch: epoch("b"),
      items,
      hash,
      after: null,
    });
    states.push(seen(site.document("log")));
  });
}
let states: ReturnType<typeof seen>[] = [];

/** What is the same whatever way led there: the order of the accepted may differ, where they do not depend on each other. */
const seen = (answer: ReturnType<OneCluster["document"]>) => ({
  accepted: answer.changes.map(({ hash }) => hash).toSorted(),
  position: answer.position,
  heads: answer.heads.toSorted(),
  pending: answer.pending,
  quarantined: answer.quarantined.map(({ hash }) => hash).toSorted(),
});

test("as of any revision a document has the changes, the heads and the losers that it had then", () => {
  let lost = 0;
  let waited = 0;
  fc.assert(
    fc.property(
      changes.chain((all) => fc.shuffledSubarray([...all], { minLength: all.length })),
      (order) => {
        const site = new OneCluster("california");
        states = [];
        bring(site, order);
        states.forEach((then, i) => {
          const question = { kind: "document", collection: "notes", document: "log", at: revision(i + 1) } as const;
          const answer = site.history({ ...question, after: 0, limit: 100 });
          expect(seen(answer)).toEqual(then);
          const known = new Set<string>();
          for (const { hash, deps } of answer.changes) {
            expect(deps.every((dep) => known.has(dep))).toBe(true);
            known.add(hash);
          }
          if (then.position > 0) {
            const last = site.history({ ...question, after: then.position - 1, limit: 1 });
            expect(last.changes).toEqual(answer.changes.slice(-1));
            expect(last.more).toBe(false);
          }
          lost += then.quarantined.length;
          waited += then.pending;
        });
      },
    ),
    { numRuns: 200, seed: 20_261_128 },
  );
  expect(lost).toBeGreaterThan(100);
  expect(waited).toBeGreaterThan(100);
});
