/** L3: decisions on lives, and what was put aside of one, over HTTP. */
import { type Revision, revision } from "@openclaw/core/ids.ts";
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { Replica } from "@openclaw/core/replica.ts";
import { expect, onTestFinished, test } from "vitest";
import { epoch, OneCluster, put, sha256 } from "../state-machine/one-cluster.ts";
import { startTestNode } from "./node.ts";

/** Five revisions of one life as a hub has them. */
function taken(nonce: string): readonly StoredRecord[] {
  const site = new OneCluster("shop", epoch(nonce));
  for (let i = 1; i <= 5; i++) site.run(put("k", `${nonce} ${i}`));
  const hub = new OneCluster("hub");
  hub.import(site, selectForParent(site.ledger, hub.cluster, sha256));
  return hub.ledger;
}

async function nodeOn(stand: Partial<Replica>) {
  const node = await startTestNode({
    replica: (own) =>
      new Proxy(own, {
        get: (target, name) => {
          const value: unknown = Reflect.get(Object.hasOwn(stand, name) ? stand : target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      }),
  });
  onTestFinished(() => node.stop());
  return node;
}

test("what was left of an earlier life is not told as the later one's", async () => {
  // Both begin with the same three; the first was left from 4 on, the second, later, from 3 on.
  const records = [...taken("b"), ...taken("c").slice(3)].map((stored, i) => ({
    ...stored,
    revision: revision(i + 1),
  }));
  const hash = new Uint8Array(32);
  const left = [
    { epoch: epoch("b"), from: revision(4), to: revision(5), hash, at: revision(5) },
    { epoch: epoch("c"), from: revision(3), to: revision(5), hash, at: revision(7) },
  ];
  const stand: Partial<Replica> = {
    barrier: () => Promise.resolve(),
    read: (() => Promise.resolve({ contenders: [], left })) as never,
    ledger: (from) =>
      Promise.resolve({ records: records.filter((one) => one.revision >= from), revision: revision(records.length) }),
  };
  const node = await nodeOn(stand);
  const told = async (of: string) => {
    const answer = await node.app.inject(`/v1/sites/shop/left/${of.repeat(32)}`);
    return answer.json().items.map((item: { revision: number; here: number }) => [item.revision, item.here]);
  };
  expect(await told("b")).toEqual([
    [4, 4],
    [5, 5],
  ]);
  expect(await told("c")).toEqual([
    [3, 3],
    [4, 6],
    [5, 7],
  ]);
});

test("X1: a decision that reads all of the past is made alone", async () => {
  const reading = Promise.withResolvers<{ records: readonly StoredRecord[]; revision: Revision }>();
  const begun = Promise.withResolvers<void>();
  const hash = new Uint8Array(32);
  const contender = { epoch: epoch("c"), ancestors: [], revision: revision(3), code: "FORK" };
  const answers = {
    lives: { contenders: [contender], left: [] },
    link: { link: { link: "shop", cursor: 5, hash, epoch: epoch("b"), ancestors: [] } },
    marks: { marks: [] },
  };
  const node = await nodeOn({
    barrier: () => Promise.resolve(),
    read: ((question: { kind: keyof typeof answers }) => Promise.resolve(answers[question.kind])) as never,
    ledger: () => {
      begun.resolve();
      return reading.promise;
    },
  });
  await node.put("k", "1");
  const ask = () => node.app.inject({ method: "POST", url: "/v1/sites/shop/resolve", payload: { dryRun: true } });
  const first = ask();
  await begun.promise;
  expect((await ask()).json()).toMatchObject({ code: "OVERLOADED" });
  reading.resolve({ records: [], revision: revision(1) });
  expect((await first).json()).toMatchObject({ dryRun: true, onlyHere: { revisions: 0 } });
  expect((await ask()).json()).toMatchObject({ dryRun: true });
});
