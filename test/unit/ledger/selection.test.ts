import { utf8 } from "@openclaw/core/bytes.ts";
import { isActorId, isChangeHash, isLinkId, revision } from "@openclaw/core/ids.ts";
import { chainHash, genesisHash, leafHash, verifyRun } from "@openclaw/core/ledger/chain.ts";
import type { LedgerEvent, LinkItem } from "@openclaw/core/ledger/record.ts";
import { encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { selectForChild, selectForParent } from "@openclaw/core/ledger/selection.ts";
import type { Subscription } from "@openclaw/core/ledger/subscription.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { expect, test } from "vitest";
import { checked, clusterId, sha256 } from "../state-machine/one-cluster.ts";

interface Written {
  readonly event: LedgerEvent;
  /** Cluster where it was first written, and the link that brought it; absent: written here. */
  readonly origin?: string;
  readonly link?: string;
}

const put = (key: string): LedgerEvent => ({
  kind: "put",
  key: utf8(key),
  value: utf8("x"),
  lease: null,
  numbers: null,
  encryption: null,
});
const edit = (collection: string, document = "log"): LedgerEvent => ({
  kind: "change",
  collection,
  document,
  change: {
    hash: checked("1".repeat(64), isChangeHash),
    actor: checked("aa", isActorId),
    seq: 1,
    deps: [],
    bytes: utf8("change"),
  },
  encryption: null,
});

const genesis = genesisHash(sha256, clusterId("west"), 0, "a".repeat(32));

function ledger(...all: readonly Written[]): StoredRecord[] {
  let last = genesis;
  return all.map(({ event, origin, link }, i) => {
    const at = revision(i + 1);
    const head = { partition: 0, revision: at, salt: new Uint8Array(16), home: "site" } as const;
    const written = encodeRecord({ ...head, origin: null, link: null, time: 1, principal: "ada", events: [event] });
    const over = (by: string, body: Uint8Array): Uint8Array =>
      encodeRecord({
        ...head,
        origin: { cluster: clusterId(origin ?? ""), epoch: "b".repeat(32), revision: at },
        link: checked(by, isLinkId),
        body,
        took: null,
      });
    const once = origin === undefined ? written : over(origin, written);
    const record = link === undefined || link === origin ? once : over(link, once);
    last = chainHash(sha256, last, 0, at, leafHash(sha256, record));
    return { revision: at, record, hash: last };
  });
}

/** As the notation "1 2-4 5": bodies by number, skips as ranges. */
const shape = (items: readonly LinkItem[]): string =>
  items.map((item) => (item.kind === "skip" ? `${item.from}-${item.to}` : String(item.revision))).join(" ");

const wants = (some: Partial<Subscription>): Subscription => ({
  prefixes: [],
  collections: [],
  mirrors: false,
  ...some,
});

test("L5: what the parent brought, or wrote and another link brought, goes up as skips; what children brought goes up whole", () => {
  const records = ledger(
    { event: put("own") },
    { event: put("a"), origin: "hub" },
    { event: put("b"), origin: "nevada", link: "hub" },
    { event: put("c"), origin: "california" },
    { event: edit("notes"), origin: "hub" },
    // Of the time before it was our parent.
    { event: put("d"), origin: "hub", link: "east" },
  );
  const items = selectForParent(records, clusterId("hub"), sha256);
  expect(shape(items)).toBe("1 2-3 4 5-6");
  expect(verifyRun(sha256, genesis, 0, items, records.at(-1)?.hash ?? genesis)).toBe(true);
});

test("L5: of what a parent before this one brought, changes of documents go up, and nothing else", () => {
  const records = ledger(
    { event: put("own") },
    { event: put("a"), origin: "east" },
    { event: put("b"), origin: "nevada", link: "east" },
    { event: edit("notes"), origin: "nevada", link: "east" },
    { event: put("c"), origin: "california" },
  );
  const before = { addressed: revision(0), former: [clusterId("east")] };
  expect(shape(selectForParent(records, clusterId("hub"), sha256, before))).toBe("1 2-3 4 5");
});

test("L5: what a child brought, or wrote and another link brought, never goes back to it", () => {
  const records = ledger(
    { event: edit("notes"), origin: "california" },
    { event: edit("notes"), origin: "alaska" },
    { event: edit("notes"), origin: "california", link: "hub" },
    { event: edit("notes"), origin: "valley", link: "california" },
  );
  const subscription = wants({ collections: ["notes"] });
  expect(shape(selectForChild(records, clusterId("california"), subscription))).toBe("1-1 2 3-4");
  expect(shape(selectForChild(records, null, subscription))).toBe("1 2 3 4");
});

test("S4: a single document comes, whoever wrote to it, and no other of its collection or of its name", () => {
  const records = ledger(
    { event: edit("notes", "a") },
    { event: edit("notes", "b") },
    { event: edit("drafts", "a") },
    { event: edit("notes", "a"), origin: "alaska" },
  );
  const documents = [{ collection: "notes", document: "a" }];
  const items = selectForChild(records, null, wants({ documents }));
  expect(shape(items)).toBe("1 2-3 4");
  expect(verifyRun(sha256, genesis, 0, items, records.at(-1)?.hash ?? genesis)).toBe(true);
  expect(shape(selectForChild(records, null, wants({ documents, collections: ["drafts"] })))).toBe("1 2-2 3 4");
});

test("a child gets what it subscribed to: own keys by prefix, mirrors if it asked, documents by collection", () => {
  const records = ledger(
    { event: put("quakes/1") },
    { event: put("other") },
    { event: { kind: "delete", key: utf8("quakes/1") } },
    { event: put("quakes/2"), origin: "alaska" },
    { event: edit("notes"), origin: "alaska" },
    { event: edit("drafts") },
  );
  const child = clusterId("california");
  expect(shape(selectForChild(records, child, wants({})))).toBe("1-6");
  expect(shape(selectForChild(records, child, wants({ prefixes: [utf8("quakes/")] })))).toBe("1 2-2 3 4-6");
  expect(shape(selectForChild(records, child, wants({ prefixes: [utf8("quakes/")], mirrors: true })))).toBe(
    "1 2-2 3 4 5-6",
  );
  expect(shape(selectForChild(records, child, wants({ collections: ["notes"] })))).toBe("1-4 5 6-6");
  expect(shape(selectForChild(records, child, wants({ prefixes: [utf8("")] })))).toBe("1 2 3 4-6");
  expect(selectForChild([], child, wants({}))).toEqual([]);
});
