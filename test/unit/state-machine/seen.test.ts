import { revision } from "@openclaw/core/ids.ts";
import { departed } from "@openclaw/core/ledger/lineage.ts";
import { ledgerLinkKey } from "@openclaw/core/state-machine/keyspace.ts";
import { ledgerLinkRow, noteParent, raiseMark } from "@openclaw/core/state-machine/link-rows.ts";
import { seenOfParent } from "@openclaw/core/state-machine/seen.ts";
import { Transaction } from "@openclaw/core/state-machine/transaction.ts";
import { expect, test } from "vitest";
import { MemoryView } from "../../simulation/memory-view.ts";
import { clusterId, epoch, linkId } from "./one-cluster.ts";

const HUB = clusterId("hub");

test("Q2, L3: of the parent's ledger nothing is known that a life wrote which was left, whichever link brought it", () => {
  const tx = new Transaction(new MemoryView());
  expect(seenOfParent(tx)).toBeNull();
  noteParent(tx, HUB, revision(0));
  const hash = new Uint8Array(32);
  const before = { epoch: epoch("a"), ancestors: [] };
  const row = { hash, gap: null, marked: revision(0), unmarked: 0 };
  const mark = (at: number) =>
    raiseMark(
      tx,
      { cluster: HUB, epoch: before.epoch.nonce, revision: revision(at) },
      linkId("region"),
      revision(1),
      null,
    );
  mark(90);
  const next = { ...epoch("b", 2), parent: before.epoch.nonce, departure: revision(100) };
  tx.write(ledgerLinkKey(linkId("hub")), ledgerLinkRow, {
    ...departed(before, next, hash),
    ...row,
    cursor: revision(80),
  });
  expect(seenOfParent(tx)).toEqual({ epoch: next.nonce, revision: 90 });
  mark(150);
  expect(seenOfParent(tx)).toEqual({ epoch: next.nonce, revision: 80 });
});
