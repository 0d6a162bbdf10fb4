/** S4: a client's stream turns to another subscription while it goes on. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import { genesisHash, verifyRun } from "@openclaw/core/ledger/chain.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import type { Subscription } from "@openclaw/core/ledger/subscription.ts";
import type { ChildMessage, ParentMessage } from "@openclaw/core/sync/message.ts";
import { describe, expect, test } from "vitest";
import { sha256 } from "../state-machine/one-cluster.ts";
import { Scripted } from "./scripted.ts";
import { clusterId, linkId, type TestCluster, World } from "./world.ts";

const wants = (...prefixes: string[]): Subscription => ({
  prefixes: prefixes.map(utf8),
  collections: [],
  mirrors: false,
});

const put = (site: TestCluster, ...keys: string[]) =>
  keys.reduce(
    (before, key) => before.then(() => site.execute({ kind: "put", key: utf8(key), value: utf8("v") })),
    Promise.resolve<unknown>(null),
  );

const downFrom = (site: TestCluster, cursor: Revision, subscription: Subscription) => ({
  cursor,
  subscription,
  epoch: cursor === 0 ? null : site.epoch.nonce,
  hash: null,
  held: subscription,
  snapshot: null,
  record: null,
});

const subscribe = (...prefixes: string[]): ChildMessage => ({ kind: "subscribe", subscription: wants(...prefixes) });

/** What is read of it: bodies and runs by revision, steps by kind. */
function shape(heard: readonly ParentMessage[]): string[] {
  return heard.flatMap((message): string[] => {
    if (message.kind === "events")
      return message.items.map((item) => (item.kind === "skip" ? `${item.from}-${item.to}` : `${item.revision}`));
    if (message.kind !== "snapshot") return [];
    const { step } = message;
    if (step.kind === "begin") return [`begin ${step.head.at}${step.head.kept === null ? " whole" : ""}`];
    return [
      step.kind === "end"
        ? `end ${step.at}`
        : `rows ${step.piece.rows.map(({ key }) => new TextDecoder().decode(key))}`,
    ];
  });
}

async function setup(...keys: string[]) {
  const world = new World();
  const site = await world.cluster("california");
  await put(site, ...keys);
  return { world, site, child: new Scripted(world, site) };
}

describe("S4: a stream that turns to a wider subscription", () => {
  test("tells what was added as of what it sent, then goes on; the chain holds over both (L2)", async () => {
    const { site, child } = await setup("a/1", "b/1", "a/2", "b/2");
    const first = await child.hello({ down: downFrom(site, revision(0), wants("a/")) });
    expect(shape(first)).toEqual(["1", "2-2", "3"]);
    // A run of nothing that waits to travel is read again: something of it may be wanted by now.
    const turned = await child.say(subscribe("a/", "b/"));
    expect(shape(turned)).toEqual(["begin 3", "rows b/1", "end 3", "4"]);
    await put(site, "c/1", "b/3");
    await child.listen();
    const items = child.heard.flatMap((message): readonly LinkItem[] =>
      message.kind === "events" ? message.items : [],
    );
    const last = child.heard.filter((message) => message.kind === "events").at(-1);
    const genesis = genesisHash(sha256, site.id, 0, site.epoch.nonce);
    expect(verifyRun(sha256, genesis, 0, items, last?.kind === "events" ? last.hash : genesis)).toBe(true);
    expect(shape(child.heard).slice(-2)).toEqual(["5-5", "6"]);
  });

  test("before anything was sent: an empty snapshot says from where on", async () => {
    const { site, child } = await setup();
    await child.hello({ down: downFrom(site, revision(0), wants("a/")) });
    expect(shape(await child.say(subscribe("a/", "b/")))).toEqual(["begin 0", "end 0"]);
    await put(site, "b/1");
    expect(shape(await child.listen())).toEqual(["1"]);
  });

  test("twice at once: the later one counts, and what the first one added is not told again", async () => {
    const { site, child } = await setup("a/1", "b/1", "c/1", "d/1", "a/2");
    await child.hello({ down: downFrom(site, revision(0), wants("a/")) });
    const turned = await child.say(
      subscribe("a/", "b/"),
      subscribe("a/", "b/", "c/"),
      subscribe("a/", "b/", "c/", "d/"),
    );
    const rows = shape(turned).filter((one) => one.startsWith("rows"));
    expect(rows.sort()).toEqual(["rows b/1", "rows c/1", "rows d/1"]);
    const begun = turned.flatMap((message) =>
      message.kind === "snapshot" && message.step.kind === "begin" ? [message.step.head.subscription] : [],
    );
    expect(begun.at(-1)).toEqual(wants("a/", "b/", "c/", "d/"));
    expect(begun.length).toBeLessThanOrEqual(2);
  });

  test("to a narrower one, which adds nothing: said by an empty snapshot, and the rest comes no more", async () => {
    const { site, child } = await setup("a/1", "b/1");
    await child.hello({ down: downFrom(site, revision(0), wants("a/", "b/")) });
    expect(shape(await child.say(subscribe("b/")))).toEqual(["begin 2", "end 2"]);
    await put(site, "a/2", "b/2");
    expect(shape(await child.listen())).toEqual(["3-3", "4"]);
  });

  test("where what was sent is not kept any more: all of it is told as it is", async () => {
    const { site, child } = await setup("a/1", "b/1", "x", "y");
    await child.hello({ down: downFrom(site, revision(0), wants("a/")) });
    expect(await site.execute({ kind: "compact", revision: revision(4) })).toMatchObject({ ok: true });
    expect(shape(await child.say(subscribe("a/", "b/")))).toEqual(["begin 4 whole", "rows a/1", "rows b/1", "end 4"]);
  });
});

test("S4: a client that has nothing yet of a long ledger is told what stands, not how it came to that", async () => {
  const { site, child } = await setup();
  for (let i = 0; i < 4_097; i++) await put(site, "a/1");
  const heard = await child.hello({ down: downFrom(site, revision(0), wants("a/")) });
  expect(shape(heard)).toEqual(["begin 4097 whole", "rows a/1", "end 4097"]);
});

test("X1: a subscription of a client that is streamed nothing, or of a site, ends the connection", async () => {
  const { world, site, child } = await setup("a/1");
  await child.hello();
  expect(await child.say(subscribe("a/"))).toMatchObject([{ kind: "goodbye", code: "MALFORMED_FRAME" }]);
  const alaska = clusterId("alaska");
  site.children.add(alaska);
  const other = new Scripted(world, site);
  const epoch = { counter: 1, nonce: "cd".repeat(16), parent: null, departure: revision(0) };
  const identity = { cluster: alaska, epoch, ancestors: [], revision: revision(0), credential: new Uint8Array(1) };
  await other.hello({
    link: linkId("alaska"),
    child: { kind: "site", ...identity },
    down: downFrom(site, revision(0), wants("a/")),
  });
  expect(await other.say(subscribe("a/", "b/"))).toMatchObject([{ kind: "goodbye", code: "MALFORMED_FRAME" }]);
});
