/** What goes wrong on a link between a child and its parent: one fault a test. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isActorId, isChangeHash, revision, seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { RESULTS_MAX } from "@openclaw/core/limits.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { ChildLink, type Push } from "@openclaw/core/sync/child-link.ts";
import {
  decodeChildMessage,
  decodeParentMessage,
  encodeChildMessage,
  encodeParentMessage,
} from "@openclaw/core/sync/codec.ts";
import { childConnection, parentConnection } from "@openclaw/core/sync/connection.ts";
import { type ChildMessage, type ParentMessage, SYNC_VERSION } from "@openclaw/core/sync/message.ts";
import { ParentLink } from "@openclaw/core/sync/parent-link.ts";
import { describe, expect, test } from "vitest";
import { Wire } from "./wire.ts";
import { linkId, type TestCluster, World } from "./world.ts";

const LINK = linkId("ab".repeat(16));

const put = (cluster: TestCluster, key: string) => cluster.execute({ kind: "put", key: utf8(key), value: utf8("v") });

/** A connection to a cluster, and what was heard on it. */
function speak(
  world: World,
  site: TestCluster,
): { heard: ParentMessage[]; say(...messages: ChildMessage[]): Promise<void> } {
  const wire = new Wire();
  world.wires.add(wire);
  new ParentLink({
    connection: parentConnection(wire.parent),
    backend: site.backend,
    clock: world.clock,
    remotePeer: "peer",
  });
  const heard: ParentMessage[] = [];
  wire.child.receive({
    message: (frame) => void heard.push(decodeParentMessage(frame)),
    drained: () => undefined,
    closed: () => undefined,
  });
  return {
    heard,
    say: async (...messages) => {
      for (const message of messages) wire.child.send(encodeChildMessage(message));
      await world.flush();
    },
  };
}

const hello: ChildMessage = {
  kind: "hello",
  version: SYNC_VERSION,
  link: LINK,
  child: { kind: "client", token: null },
  down: null,
};

/** A change that depends on many unknown ones. */
function stuck(i: number): DocumentChange {
  const hash = i.toString(16).padStart(64, "0");
  const actor = "aa".repeat(16);
  const deps = Array.from({ length: 70 }, (_, k) => (1_000_000 + i * 70 + k).toString(16).padStart(64, "0"));
  if (!isChangeHash(hash) || !isActorId(actor)) throw new Error("no change");
  return { hash, actor, seq: i, deps: deps.filter(isChangeHash), bytes: new Uint8Array(1) };
}

describe("a parent", () => {
  test("X1: all that it remembers of a link fits a frame, whatever was refused", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const first = speak(world, site);
    await first.say(hello);
    for (let from = 1; from < RESULTS_MAX; from += RESULTS_MAX / 4) {
      const commands = Array.from({ length: RESULTS_MAX / 4 }, (_, i) => {
        const name = i === 0 ? "x".repeat(500_000) : "today";
        return { kind: "change", collection: "log", document: name, changes: [stuck(from + i)] } as const;
      });
      await first.say({ kind: "pushCommands", from: seq(from), lowWater: seq(1), commands });
    }
    expect(first.heard.map(({ kind }) => kind)).toEqual(["welcome", "pushed", "pushed", "pushed", "pushed"]);
    const second = speak(world, site);
    await second.say(hello);
    expect(second.heard).toMatchObject([{ kind: "welcome", cursor: RESULTS_MAX }]);
  });

  test("X1, Q1: nor more responses than fit one: what comes beyond does not run", async () => {
    const world = new World();
    const site = await world.cluster("california");
    await site.execute({ kind: "put", key: utf8("k"), value: new Uint8Array(200_000) });
    const first = speak(world, site);
    await first.say(hello);
    const put = { kind: "put", key: utf8("n"), value: utf8(""), lease: null, previous: false } as const;
    const look = { kind: "range", ...plainRange(utf8("k"), null, 1) } as const;
    const commands = Array.from(
      { length: 64 },
      () => ({ kind: "txn", compares: [], success: [put, look], failure: [] }) as const,
    );
    await first.say({ kind: "pushCommands", from: seq(1), lowWater: seq(1), commands });
    const ran = 5;
    expect(first.heard.at(-1)).toMatchObject({ kind: "refused", code: "OVERLOADED", cursor: ran });
    expect(site.position().revision).toBe(1 + ran);
    const second = speak(world, site);
    await second.say(hello);
    expect(second.heard).toMatchObject([{ kind: "welcome", cursor: ran }]);
    // S2: what found no room keeps its place, and runs once there is some.
    const rest = commands.slice(ran, 2 * ran);
    await second.say({ kind: "pushCommands", from: seq(ran + 1), lowWater: seq(ran + 1), commands: rest });
    expect(second.heard.at(-1)).toMatchObject({ kind: "pushed", cursor: 2 * ran });
    expect(site.position().revision).toBe(1 + 2 * ran);
  });

  test("an answer that cannot be sent ends the connection, and nothing else", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const wire = new Wire();
    world.wires.add(wire);
    const connection = parentConnection(wire.parent);
    const send = connection.send.bind(connection);
    connection.send = (message) => {
      if (message.kind === "pushed") throw new OpenClawError("FRAME_TOO_LARGE", "planted");
      return send(message);
    };
    new ParentLink({ connection, backend: site.backend, clock: world.clock, remotePeer: "peer" });
    const heard: ParentMessage[] = [];
    wire.child.receive({
      message: (frame) => void heard.push(decodeParentMessage(frame)),
      drained: () => undefined,
      closed: () => undefined,
    });
    wire.child.send(encodeChildMessage(hello));
    await world.flush();
    wire.child.send(
      encodeChildMessage({
        kind: "pushCommands",
        from: seq(1),
        lowWater: seq(1),
        commands: [{ kind: "deleteRange", keys: { kind: "key", key: utf8("k") } }],
      }),
    );
    await world.flush();
    expect(heard).toMatchObject([{ kind: "welcome" }, { kind: "goodbye", code: "FRAME_TOO_LARGE" }]);
  });

  test("S3: what its own parent acknowledged while it caught up is told with the welcome", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    const { backend } = site;
    const wire = new Wire();
    world.wires.add(wire);
    const lagging = {
      ...backend,
      barrier: async (): Promise<void> => {
        await put(site, "k");
        await site.propose(
          { kind: "parentHolds", parent: hub.id, epoch: hub.epoch.nonce, revision: revision(1) },
          { principal: "tester" },
        );
      },
    };
    new ParentLink({
      connection: parentConnection(wire.parent),
      backend: lagging,
      clock: world.clock,
      remotePeer: "peer",
    });
    const heard: ParentMessage[] = [];
    wire.child.receive({
      message: (frame) => void heard.push(decodeParentMessage(frame)),
      drained: () => undefined,
      closed: () => undefined,
    });
    const subscription = { prefixes: [utf8("")], collections: [], mirrors: false };
    wire.child.send(
      encodeChildMessage({
        ...hello,
        down: {
          subscription,
          cursor: revision(1),
          epoch: site.epoch.nonce,
          hash: null,
          held: subscription,
          snapshot: null,
          record: null,
        },
      }),
    );
    await world.flush();
    expect(heard[0]).toMatchObject({ kind: "welcome", upstream: 1 });
  });
});

describe("a child", () => {
  test("that only listens is not taken for dead", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    world.uplink(site, hub);
    const client = await world.client(site);
    await world.flush();
    const [link] = site.links;
    for (let i = 0; i < 30; i++) {
      await put(site, `k${i}`);
      await world.elapse(5_000);
    }
    expect(client.status().upstream).toBeGreaterThan(20);
    expect(site.links.has(link as ParentLink)).toBe(true);
  });

  test("that is refused for good comes back less and less often, and says why", async () => {
    const world = new World();
    const hub = await world.cluster("hub");
    const site = await world.cluster("california");
    world.uplink(site, hub);
    await put(site, "a");
    await world.elapse(5_000);
    site.uplink?.setEnabled(false);
    await world.flush();
    // The site was rebuilt from nothing: its epoch is not the one that the hub has pinned.
    const rebuilt = await world.cluster("california");
    const uplink = world.uplink(rebuilt, hub);
    for (const key of ["b", "c", "d"]) await put(rebuilt, key);
    const before = hub.proposals.length;
    await world.elapse(60_000);
    expect(hub.proposals.length - before).toBeLessThan(40);
    expect(uplink.status().lastError?.code).toBe("FORK");
    await uplink.stop();
  });

  test("tells the next try why the last connection ended, so that another node may be asked", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const ended: (string | null)[] = [];
    const client = await world.client(site, {
      connect: async (reason) => {
        ended.push(reason?.code ?? null);
        return site.connect();
      },
    });
    await world.flush();
    for (const link of site.links) link.fail(new OpenClawError("UNAVAILABLE", "no majority"));
    await world.elapse(1_000);
    client.kv.watch("q/", () => undefined);
    await world.elapse(1_000);
    expect(ended).toEqual([null, "UNAVAILABLE", null]);
  });

  test("Q2: an answer behind a refused push says nothing of what was refused", async () => {
    const world = new World();
    const wire = new Wire();
    world.wires.add(wire);
    const heard: ChildMessage[] = [];
    wire.parent.receive({
      message: (frame) => void heard.push(decodeChildMessage(frame)),
      drained: () => undefined,
      closed: () => undefined,
    });
    const told: number[] = [];
    const next = async (after: number): Promise<Push | null> => {
      if (after >= 3) return null;
      const commands = [{ kind: "deleteRange", keys: { kind: "key", key: utf8("k") } }] as const;
      return { to: after + 1, message: { kind: "pushCommands", from: seq(after + 1), lowWater: seq(1), commands } };
    };
    const link = new ChildLink({
      connection: childConnection(wire.child),
      clock: world.clock,
      hello: { link: LINK, child: { kind: "client", token: null }, down: null },
      owner: {
        source: { next, oldest: () => 0 },
        welcomed: () => undefined,
        pushed: (_, to) => void told.push(to),
        events: () => undefined,
        snapshot: () => undefined,
        holds: () => undefined,
        closed: () => undefined,
      },
    });
    const say = async (message: ParentMessage): Promise<void> => {
      wire.parent.send(encodeParentMessage(message));
      await world.flush();
    };
    const site = await world.cluster("california");
    await say({
      kind: "welcome",
      version: SYNC_VERSION,
      cluster: site.id,
      epoch: site.epoch,
      ancestors: [],
      cursor: 0,
      hash: null,
      record: null,
      outcomes: [],
      upstream: revision(0),
      upstreamEpoch: null,
      snapshot: null,
    });
    expect(heard.slice(1)).toMatchObject([{ from: 1 }, { from: 2 }, { from: 3 }]);
    await say({ kind: "pushed", cursor: 1, outcomes: [] });
    await say({ kind: "refused", code: "GAP", details: "", cursor: 1 });
    // What an earlier connection had sent has filled the gap since.
    await say({ kind: "pushed", cursor: 3, outcomes: [] });
    expect(told).toEqual([1]);
    expect(heard.slice(4)).toMatchObject([{ from: 2 }, { from: 3 }]);
    link.close();
  });
});
