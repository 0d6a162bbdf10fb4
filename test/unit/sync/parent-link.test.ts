import { utf8 } from "@openclaw/core/bytes.ts";
import { encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision, seq } from "@openclaw/core/ids.ts";
import { firstRevision, lastRevision } from "@openclaw/core/ledger/link-item.ts";
import type { Subscription } from "@openclaw/core/ledger/subscription.ts";
import { encodeChildMessage } from "@openclaw/core/sync/codec.ts";
import type { ChildIdentity, ChildMessage, ParentMessage } from "@openclaw/core/sync/message.ts";
import { EVENTS_IN_FLIGHT_MAX, PUSHES_IN_FLIGHT_MAX, SYNC_VERSION } from "@openclaw/core/sync/message.ts";
import { describe, expect, test } from "vitest";
import { ANYBODY } from "./anybody.ts";
import { Scripted } from "./scripted.ts";
import { clusterId, linkId, type TestCluster, World } from "./world.ts";

const ALL: Subscription = { prefixes: [utf8("")], collections: [], mirrors: true };

const setup = async (): Promise<{ world: World; site: TestCluster; child: Scripted }> => {
  const world = new World();
  const site = await world.cluster("california");
  return { world, site, child: new Scripted(world, site) };
};

const push = (from: number, ...keys: string[]): ChildMessage => ({
  kind: "pushCommands",
  from: seq(from),
  lowWater: seq(1),
  commands: keys.map((key) => ({ kind: "put", key: utf8(key), value: utf8("v") })),
});

test("S4: a child that is behind a compaction gets a snapshot, and one at it goes on", async () => {
  const { world, site, child } = await setup();
  for (const key of ["a", "b", "c"]) await site.execute({ kind: "put", key: utf8(key), value: utf8("v") });
  expect(await site.execute({ kind: "compact", revision: revision(3) })).toMatchObject({ ok: true });
  const down = (from: number) => ({
    cursor: revision(from),
    subscription: ALL,
    epoch: site.epoch.nonce,
    hash: null,
    held: ALL,
    snapshot: null,
    record: null,
  });
  const heard = await child.hello({ down: down(1) });
  expect(heard.slice(1)).toMatchObject([
    { kind: "snapshot", step: { kind: "begin", head: { at: 3, kept: null } } },
    { kind: "snapshot", step: { kind: "piece", piece: { rows: [{ version: 1 }, { version: 1 }, { version: 1 }] } } },
    { kind: "snapshot", step: { kind: "end", at: 3 } },
  ]);
  const level = await new Scripted(world, site).hello({ down: down(2) });
  expect(level.at(-1)).toMatchObject({ kind: "events", items: [{ kind: "body", revision: 3 }] });
});

test("a client may not compact", async () => {
  const { site, child } = await setup();
  await site.execute({ kind: "put", key: utf8("a"), value: utf8("v") });
  await child.hello();
  const compact = { kind: "compact", revision: revision(1) } as const;
  const heard = await child.say({ kind: "pushCommands", from: seq(1), lowWater: seq(1), commands: [compact] });
  expect(heard.at(-1)).toMatchObject({ kind: "pushed", outcomes: [{ outcome: { code: "FORBIDDEN" } }] });
  expect(site.position().compacted).toBe(0);
});

describe("a parent's door", () => {
  const site = (cluster: string): ChildIdentity => ({
    kind: "site",
    cluster: clusterId(cluster),
    epoch: { counter: 1, nonce: "cd".repeat(16), parent: null, departure: revision(0) },
    ancestors: [],
    revision: revision(0),
    credential: new Uint8Array(1),
  });

  test("UNKNOWN_CHILD: a site that is not enrolled", async () => {
    const { child } = await setup();
    expect(await child.hello({ link: linkId("alaska"), child: site("alaska") })).toMatchObject([
      { kind: "goodbye", code: "UNKNOWN_CHILD" },
    ]);
    expect(child.closed).toBe(true);
  });

  test("WRONG_CLUSTER: a site under another's link", async () => {
    const { child, site: parent } = await setup();
    parent.children.add(clusterId("alaska"));
    expect(await child.hello({ link: linkId("nevada"), child: site("alaska") })).toMatchObject([
      { kind: "goodbye", code: "WRONG_CLUSTER" },
    ]);
  });

  test("UNAUTHENTICATED: a token that is none", async () => {
    const { child, site: parent } = await setup();
    parent.principal = () => {
      throw new OpenClawError("UNAUTHENTICATED");
    };
    expect(await child.hello()).toMatchObject([{ kind: "goodbye", code: "UNAUTHENTICATED" }]);
  });

  test("UNKNOWN_VERSION, MALFORMED_FRAME: told, closed, and nothing is harmed", async () => {
    const { world, site: parent } = await setup();
    for (const [frame, code] of [
      [encode([0, SYNC_VERSION + 1, "other"]), "UNKNOWN_VERSION"],
      [encode([77]), "MALFORMED_FRAME"],
      [new Uint8Array([0xc1]), "MALFORMED_FRAME"],
      [encodeChildMessage(push(1, "a")), "MALFORMED_FRAME"],
    ] as const) {
      const child = new Scripted(world, parent);
      child.wire.child.send(frame);
      expect(await child.listen()).toMatchObject([{ kind: "goodbye", code }]);
      expect(child.closed).toBe(true);
    }
    expect(parent.proposals).toEqual([]);
  });

  test("WRONG_EPOCH, FORK: a cursor that is not of this ledger", async () => {
    const { world, site: parent, child } = await setup();
    const down = {
      subscription: ALL,
      cursor: revision(0),
      epoch: "00".repeat(16),
      hash: null,
      held: ALL,
      snapshot: null,
      record: null,
    };
    expect(await child.hello({ down })).toMatchObject([{ kind: "goodbye", code: "WRONG_EPOCH" }]);
    const ahead = new Scripted(world, parent);
    expect(await ahead.hello({ down: { ...down, cursor: revision(5), epoch: parent.epoch.nonce } })).toMatchObject([
      { kind: "goodbye", code: "FORK" },
    ]);
  });

  test("one that says nothing is closed, and so is one that fell silent", async () => {
    const { world, site: parent, child } = await setup();
    expect(await child.listen(10_001)).toMatchObject([{ kind: "goodbye", code: "UNAVAILABLE" }]);
    const silent = new Scripted(world, parent);
    await silent.hello();
    expect(await silent.listen(60_001)).toMatchObject([{ kind: "goodbye", code: "UNAVAILABLE" }]);
  });
});

describe("pushes at a parent", () => {
  test("are taken in order, answered in order, and an overlap is trimmed with its outcomes", async () => {
    const { child, site } = await setup();
    await child.hello();
    expect(await child.say(push(1, "a", "b"), push(3, "c"))).toMatchObject([
      {
        kind: "pushed",
        cursor: 2,
        outcomes: [
          { seq: 1, outcome: { ok: true, revision: 1 } },
          { seq: 2, outcome: { ok: true, revision: 2 } },
        ],
      },
      { kind: "pushed", cursor: 3, outcomes: [{ seq: 3, outcome: { ok: true, revision: 3 } }] },
    ]);
    expect(await child.say(push(2, "b", "c", "d"))).toMatchObject([
      {
        kind: "pushed",
        cursor: 4,
        outcomes: [
          { seq: 2, outcome: { revision: 2 } },
          { seq: 3, outcome: { revision: 3 } },
          { seq: 4, outcome: { revision: 4 } },
        ],
      },
    ]);
    expect(site.position().revision).toBe(4);
  });

  test("L4: a gap is refused with the cursor to rewind to", async () => {
    const { child } = await setup();
    await child.hello();
    expect(await child.say(push(1, "a"), push(5, "e"))).toMatchObject([
      { kind: "pushed", cursor: 1 },
      { kind: "refused", code: "GAP", cursor: 1 },
    ]);
  });

  test("the next connection learns the cursor and the outcomes that are not yet acknowledged", async () => {
    const { world, child, site } = await setup();
    await child.hello();
    await child.say(push(1, "a", "b"), { ...push(3, "c"), lowWater: seq(3) } as ChildMessage);
    child.wire.cut();
    const again = new Scripted(world, site);
    expect(await again.hello()).toMatchObject([
      { kind: "welcome", cursor: 3, outcomes: [{ seq: 3, outcome: { ok: true, revision: 3 } }] },
    ]);
  });

  test("X1: more in flight than agreed is OVERLOADED", async () => {
    const { child } = await setup();
    await child.hello();
    const heard = await child.say(...Array.from({ length: PUSHES_IN_FLIGHT_MAX + 1 }, (_, i) => push(i + 1, `k${i}`)));
    expect(heard.at(-1)).toMatchObject({ kind: "goodbye", code: "OVERLOADED" });
  });

  test("a client's commands from a site, or a site's ledger from a client, are malformed", async () => {
    const { child } = await setup();
    await child.hello();
    expect(await child.say({ kind: "pushLedger", items: [], hash: new Uint8Array(32), after: null })).toMatchObject([
      { kind: "goodbye", code: "MALFORMED_FRAME" },
    ]);
  });

  test("limits of keys and values hold here, too, and take their place in the stream", async () => {
    const { child } = await setup();
    await child.hello();
    const commands = [
      { kind: "put", key: utf8(""), value: utf8("v") },
      { kind: "put", key: utf8("k".repeat(4_097)), value: utf8("v") },
      { kind: "put", key: utf8("k"), value: new Uint8Array(1_048_577) },
      { kind: "put", key: utf8("k"), value: utf8("v") },
    ] as const;
    const [pushed] = await child.say({ kind: "pushCommands", from: seq(1), lowWater: seq(1), commands });
    if (pushed?.kind !== "pushed") throw new Error(pushed?.kind);
    expect(pushed.outcomes.map(({ outcome }) => (outcome.ok ? outcome.revision : outcome.code))).toEqual([
      "KEY_EMPTY",
      "KEY_TOO_LARGE",
      "VALUE_TOO_LARGE",
      1,
    ]);
  });
});

describe("events from a parent", () => {
  const subscription = { ...ALL, prefixes: [utf8("q/")] };
  const down = {
    subscription,
    cursor: revision(0),
    epoch: null,
    hash: null,
    held: subscription,
    snapshot: null,
    record: null,
  };
  const put = (site: TestCluster, key: string) => site.execute({ kind: "put", key: utf8(key), value: utf8("v") });
  const shapes = (messages: readonly ParentMessage[]): string[] =>
    messages.flatMap((message) =>
      message.kind === "events"
        ? message.items.map((item) => `${item.kind} ${firstRevision(item)}-${lastRevision(item)}`)
        : [],
    );

  test("come from the cursor on, then live, and runs of nothing as skips", async () => {
    const { child, site } = await setup();
    for (const key of ["q/1", "x", "y", "q/2"]) await put(site, key);
    const heard = await child.hello({ down });
    expect(shapes(heard)).toEqual(["body 1-1", "skip 2-3", "body 4-4"]);
    await put(site, "q/3");
    expect(shapes(await child.listen())).toEqual(["body 5-5"]);
  });

  test("L1: a run of nothing waits for a body, and goes alone once in a while", async () => {
    const { child, site } = await setup();
    await child.hello({ down });
    for (let i = 0; i < 10; i++) await put(site, `x${i}`);
    expect(await child.listen(900)).toEqual([]);
    expect(shapes(await child.listen(200))).toEqual(["skip 1-10"]);
    await put(site, "x");
    await put(site, "q/1");
    expect(shapes(await child.listen())).toEqual(["skip 11-11", "body 12-12"]);
    expect(await child.listen(30_000)).toEqual([]);
  });

  test("X1: a child that takes nothing is sent no more than agreed, and goes on when it does", async () => {
    const { child, site } = await setup();
    await child.hello({ down });
    for (let i = 0; i < 50; i++) {
      await put(site, `q/${i}`);
      await child.listen();
    }
    const frames = child.heard.filter(({ kind }) => kind === "events");
    expect(frames).toHaveLength(EVENTS_IN_FLIGHT_MAX);
    const later = await child.say({ kind: "taken", cursor: revision(EVENTS_IN_FLIGHT_MAX) });
    expect(shapes(later)).toEqual(
      Array.from({ length: 50 - EVENTS_IN_FLIGHT_MAX }, (_, i) => `body ${i + 9}-${i + 9}`),
    );
  });

  test("X1: a child that does not read gets nothing more until it does: events, answers and holds wait", async () => {
    const { child, site } = await setup();
    await child.hello({ down });
    child.wire.parent.block();
    await put(site, "q/1");
    await child.say({ kind: "taken", cursor: revision(1) });
    const before = child.wire.parent.sent;
    await put(site, "q/2");
    await site.propose(
      { kind: "parentHolds", parent: clusterId("hub"), epoch: "ab".repeat(16), revision: revision(1) },
      { principal: "node" },
    );
    await child.say({ kind: "ask", id: 1, mode: { kind: "local" }, query: { kind: "position" } });
    expect(child.wire.parent.sent).toBe(before);
    child.wire.parent.unblock();
    const heard = await child.listen();
    expect(heard.map(({ kind }) => kind).sort()).toEqual(["answer", "events", "holds"]);
  });

  test("taking what was never sent is malformed", async () => {
    const { child } = await setup();
    await child.hello({ down });
    expect(await child.say({ kind: "taken", cursor: revision(1) })).toMatchObject([
      { kind: "goodbye", code: "MALFORMED_FRAME" },
    ]);
  });

  test("pitfall 50: rights are asked at every event: one that was lost hides what comes after", async () => {
    const { child, site } = await setup();
    let allowed = true;
    site.principal = () => ({ ...ANYBODY, mayReadKey: () => allowed });
    await child.hello({ down });
    await put(site, "q/1");
    expect(shapes(await child.listen())).toEqual(["body 1-1"]);
    allowed = false;
    await put(site, "q/2");
    expect(shapes(await child.listen(1_500))).toEqual(["skip 2-2"]);
  });

  test("S3: holds tell when the parent's own parent has more", async () => {
    const { child, site } = await setup();
    await child.hello();
    await put(site, "a");
    await site.propose(
      { kind: "parentHolds", parent: clusterId("hub"), epoch: "ab".repeat(16), revision: revision(1) },
      { principal: "node" },
    );
    expect(await child.listen()).toMatchObject([{ kind: "holds", upstream: 1 }]);
  });
});
