/** What a site that lies, or is broken, pushes: refused with a code, and neither what is here nor other sites are harmed. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { type ClusterId, isLeaseId, type Revision, revision } from "@openclaw/core/ids.ts";
import { chainHash, genesisHash, hashAfter, leafHash } from "@openclaw/core/ledger/chain.ts";
import type { LinkItem, RecordForm } from "@openclaw/core/ledger/record.ts";
import { encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import type { ChildIdentity, ParentMessage } from "@openclaw/core/sync/message.ts";
import { describe, expect, test } from "vitest";
import { sha256 } from "../state-machine/one-cluster.ts";
import { Scripted } from "./scripted.ts";
import { clusterId, linkId, type TestCluster, World } from "./world.ts";

const SITE = clusterId("alaska");
const LIAR = linkId("alaska");
const EPOCH = { counter: 1, nonce: "5a".repeat(16), parent: null, departure: revision(0) };
const GENESIS = genesisHash(sha256, SITE, 0, EPOCH.nonce);

const written = (at: number, value = "v"): RecordForm => ({
  partition: 0,
  revision: revision(at),
  salt: new Uint8Array(16).fill(at),
  origin: null,
  link: null,
  time: 5,
  principal: "bob",
  home: "site",
  events: [{ kind: "put", key: utf8(`k${at}`), value: utf8(value), lease: null, numbers: null, encryption: null }],
});

/** A ledger of so many revisions. */
function ledger(count: number, value?: string): StoredRecord[] {
  let hash = GENESIS;
  return Array.from({ length: count }, (_, i) => {
    const at = revision(i + 1);
    const record = encodeRecord(written(at, value));
    hash = chainHash(sha256, hash, 0, at, leafHash(sha256, record));
    return { revision: at, record, hash };
  });
}

const body = (at: Revision, record: Uint8Array): LinkItem => ({ kind: "body", revision: at, record });
const bodies = (records: readonly StoredRecord[]): LinkItem[] => records.map((one) => body(one.revision, one.record));
const hashOf = (records: readonly StoredRecord[]): Uint8Array => records.at(-1)?.hash ?? GENESIS;

const identity = (cluster: ClusterId): ChildIdentity => ({
  kind: "site",
  cluster,
  epoch: EPOCH,
  ancestors: [],
  revision: revision(0),
  credential: new Uint8Array(1),
});

async function setup() {
  const world = new World();
  const hub = await world.cluster("hub");
  hub.children.add(SITE);
  const connect = async (): Promise<Scripted> => {
    const child = new Scripted(world, hub);
    await child.hello({ link: LIAR, child: identity(SITE) });
    return child;
  };
  const child = await connect();
  const good = ledger(6);
  expect(await pushed(child, bodies(good.slice(0, 4)), hashOf(good.slice(0, 4)))).toMatchObject([
    { kind: "pushed", cursor: 4 },
  ]);
  return { world, hub, child, connect, good };
}

const pushed = (child: Scripted, items: readonly LinkItem[], hash: Uint8Array): Promise<ParentMessage[]> =>
  child.say({ kind: "pushLedger", items, hash, after: null });

/** Pushes one record behind the cursor, in a run that is right but for it. */
const pushedNext = (child: Scripted, good: readonly StoredRecord[], record: Uint8Array): Promise<ParentMessage[]> => {
  const items = [body(revision(5), record)];
  return pushed(child, items, hashAfter(sha256, hashOf(good.slice(0, 4)), 0, items));
};

const keysOf = async (hub: TestCluster): Promise<number> => {
  const { rows } = await hub.read({ kind: "range", origin: SITE, ...plainRange(utf8(""), null, 100) });
  return rows.length;
};

describe("a site that", () => {
  test("replays what it shipped is told the cursor, and nothing changes", async () => {
    const { hub, child, good } = await setup();
    const before = hub.position();
    expect(await pushed(child, bodies(good.slice(0, 2)), hashOf(good.slice(0, 2)))).toMatchObject([
      { kind: "pushed", cursor: 4 },
    ]);
    expect(hub.position().hash).toEqual(before.hash);
  });

  test("L3: rewrites what it shipped, at the cursor or far below it, is a FORK, and its link is closed", async () => {
    const { hub, connect, good } = await setup();
    const other = ledger(6, "another");
    for (const to of [2, 4, 6]) {
      const child = await connect();
      const [answer] = await pushed(child, bodies(other.slice(0, to)), hashOf(other.slice(0, to)));
      expect(answer, `up to ${to}`).toMatchObject({ code: "FORK" });
    }
    const child = await connect();
    expect(await pushed(child, bodies(good), hashOf(good))).toMatchObject([{ kind: "pushed", cursor: 6 }]);
    expect(await keysOf(hub)).toBe(6);
  });

  test("L4: skips revisions is refused GAP with the cursor", async () => {
    const { child, good } = await setup();
    expect(await pushed(child, bodies(good.slice(5)), hashOf(good))).toMatchObject([
      { kind: "refused", code: "GAP", cursor: 4 },
    ]);
    const [third, fifth] = [good[2], good[4]];
    if (third === undefined || fifth === undefined) throw new Error("six records");
    expect(await pushed(child, bodies([third, fifth]), fifth.hash)).toMatchObject([
      { kind: "refused", code: "MALFORMED_FRAME", cursor: 4 },
    ]);
  });

  test("X1: ships bodies that are none, say another revision, are odd, too deep or too large is refused whole", async () => {
    const { hub, child, good } = await setup();
    const [first] = good;
    if (first === undefined) throw new Error("six records");
    const odd = encodeRecord(written(5));
    let deep = encodeRecord(written(5));
    for (let depth = 0; depth < 8; depth++) {
      const origin = { cluster: SITE, epoch: EPOCH.nonce, revision: revision(5) };
      const head = { partition: 0, revision: revision(5), salt: new Uint8Array(16), home: "site" } as const;
      deep = encodeRecord({ ...head, origin, link: LIAR, body: deep, took: null });
    }
    const lease = 7;
    if (!isLeaseId(lease)) throw new Error("a lease");
    const bad: readonly (readonly [what: string, record: Uint8Array])[] = [
      ["nothing", new Uint8Array(0)],
      ["garbage", new Uint8Array(100).fill(0xc1)],
      ["another revision", encodeRecord(written(9))],
      // The revision as a 16-bit number.
      ["odd bytes", new Uint8Array([...odd.subarray(0, 20), 0xcd, 0, 5, ...odd.subarray(21)])],
      ["cut off", odd.subarray(0, odd.length - 3)],
      ["too deep", deep],
      ["too large", encodeRecord(written(5, "x".repeat(3_990_000)))],
      ["no key", encodeRecord({ ...written(5), events: [{ kind: "delete", key: new Uint8Array(0) }] } as RecordForm)],
    ];
    const before = hub.position();
    for (const [what, record] of bad) {
      const [answer] = await pushedNext(child, good, record);
      expect(answer, what).toMatchObject({ kind: "refused", cursor: 4 });
      expect(answer, what).toMatchObject({ code: what === "no key" ? "KEY_EMPTY" : "MALFORMED_FRAME" });
    }
    expect(hub.position().hash).toEqual(before.hash);
    // It is the same link that goes on.
    expect(await pushed(child, bodies(good.slice(4)), hashOf(good))).toMatchObject([{ kind: "pushed", cursor: 6 }]);
    expect(await keysOf(hub)).toBe(6);
  });

  test("Q3: asks for keys is told none: what is private here is not for clusters below", async () => {
    const { hub, child } = await setup();
    await hub.execute({ kind: "setHome", prefix: utf8("pin/"), home: "private", without: [] });
    await hub.execute({ kind: "put", key: utf8("pin/1"), value: utf8("secret") });
    const query = { kind: "get", origin: null, key: utf8("pin/1") } as const;
    expect(await child.say({ kind: "ask", id: 1, mode: { kind: "local" }, query })).toMatchObject([
      { kind: "askFailed", code: "FORBIDDEN" },
    ]);
  });

  test("lies harms no other site", async () => {
    const { world, hub, child, good } = await setup();
    const honest = await world.cluster("california");
    world.uplink(honest, hub, { collections: [] });
    for (let i = 0; i < 20; i++) {
      await honest.execute({ kind: "put", key: utf8("a"), value: utf8(String(i)) });
      await pushedNext(child, good, new Uint8Array(50).fill(i));
    }
    await world.elapse(1_000);
    const { link } = await hub.read({ kind: "link", link: linkId("california") });
    expect(link).toMatchObject({ cursor: 20 });
    expect(honest.uplink?.status()).toMatchObject({ connected: true, lastError: null });
  });
});
