import { utf8 } from "@openclaw/core/bytes.ts";
import { PRESENCE_GOSSIP_BYTES_MAX, PRESENCE_PACE_MS, PRESENCE_TOPICS_MAX } from "@openclaw/core/limits.ts";
import { decodeGossip } from "@openclaw/core/presence/presence.ts";
import type { Topic } from "@openclaw/core/presence/topic.ts";
import type { Principal } from "@openclaw/core/sync/authority.ts";
import { expect, test } from "vitest";
import { ANYBODY } from "../sync/anybody.ts";
import { LOBBY, LOG, link, Room, TTL_MS } from "./room.ts";

const seen = (client: { readonly sees: ReadonlyMap<number, string> }): Record<number, string> =>
  Object.fromEntries(client.sees);

test("R11: clients at two gateways see each other at once, and only in the topics that they asked for", () => {
  const room = new Room();
  const [a, b] = [room.gateway(), room.gateway()];
  const [ana, ben, cy] = [a.client(1), b.client(2), b.client(3)];
  ana.hear(LOG);
  ben.hear(LOG);
  cy.hear(LOBBY);
  ana.say("at 4");
  ben.say("at 7");
  expect([seen(ana), seen(ben), seen(cy)]).toEqual([{ 2: "at 7" }, { 1: "at 4" }, {}]);
  ana.say(null);
  room.elapse(PRESENCE_PACE_MS);
  expect(seen(ben)).toEqual({});
});

test("R11: who comes later is told of all who are there, and not of those who left", () => {
  const room = new Room();
  const [a, b] = [room.gateway(), room.gateway()];
  a.client(1).say("one");
  const gone = a.client(2);
  gone.say("two");
  room.elapse(100);
  gone.say(null);
  b.client(3).say("three");
  room.elapse(100);
  const late = b.client(4);
  late.hear(LOG);
  expect(seen(late)).toEqual({ 1: "one", 3: "three" });
});

test("R11: old news does not overwrite new, nor bring back who left", () => {
  const room = new Room();
  const gateway = room.gateway();
  const ana = gateway.client(1);
  ana.hear(LOG);
  const entry = (seq: number, text: string | null) => ({
    topic: LOG,
    seq,
    ttlMs: TTL_MS,
    value: text === null ? null : utf8(text),
    link: link(9),
    principal: "anonymous",
  });
  gateway.presence.heard([entry(5, "new")]);
  gateway.presence.heard([entry(4, "old"), entry(5, "another under one number")]);
  room.elapse(100);
  expect(seen(ana)).toEqual({ 9: "new" });
  gateway.presence.heard([entry(6, null)]);
  room.elapse(100);
  gateway.presence.heard([entry(5, "new"), entry(6, "back")]);
  room.elapse(100);
  expect(seen(ana)).toEqual({});
  expect(gateway.presence.counts().old).toBe(3);
});

test("R11: what is not said again ends by its time to live, at every gateway; what is said again stays", () => {
  const room = new Room();
  const [a, b] = [room.gateway(), room.gateway()];
  const [ana, ben, cy] = [a.client(1), a.client(2), b.client(3)];
  cy.hear(LOG);
  ana.say("ana");
  ben.say("ben");
  for (let third = 0; third < 6; third++) {
    room.elapse(TTL_MS / 3);
    ben.say("ben", LOG, 1);
  }
  expect(seen(cy)).toEqual({ 2: "ben" });
  // The gateway of both dies without a word.
  room.elapse(TTL_MS - TTL_MS / 3);
  expect(seen(cy)).toEqual({ 2: "ben" });
  room.elapse(TTL_MS);
  expect(seen(cy)).toEqual({});
  expect(b.presence.counts().entries).toBe(0);
});

test("R11: a stream that ends takes its client's presence with it, at once and everywhere", () => {
  const room = new Room();
  const [a, b] = [room.gateway(), room.gateway()];
  const [ana, ben] = [a.client(1), b.client(2)];
  ben.hear(LOG, LOBBY);
  ana.say("in the log");
  ana.say("in the lobby", LOBBY);
  room.elapse(100);
  expect(seen(ben)).toEqual({ 1: "in the lobby" });
  ana.session.close();
  room.elapse(PRESENCE_PACE_MS);
  expect(seen(ben)).toEqual({});
});

test("R11: a client's own frame that is late changes nothing, and it still leaves with its stream", () => {
  const room = new Room();
  const gateway = room.gateway();
  const [ana, ben] = [gateway.client(1), gateway.client(2)];
  ben.hear(LOG);
  ana.say("new", LOG, 5);
  room.elapse(100);
  ana.say("late", LOG, 3);
  room.elapse(100);
  expect(seen(ben)).toEqual({ 1: "new" });
  ana.session.close();
  room.elapse(100);
  expect(seen(ben)).toEqual({});
});

test("R11: what happened in a topic that is not heard any more is not told", () => {
  const room = new Room();
  const gateway = room.gateway();
  const [ana, ben, cy] = [gateway.client(1), gateway.client(2), gateway.client(3)];
  ben.hear(LOG);
  ana.say("one");
  room.elapse(10);
  // It waits for the pace.
  cy.say("three");
  ben.hear(LOBBY);
  room.elapse(1_000);
  expect(seen(ben)).toEqual({ 1: "one" });
  expect(ben.told).toHaveLength(1);
});

test("R11: a client that moved on to another gateway stays when the first one notices", () => {
  const room = new Room();
  const [a, b] = [room.gateway(), room.gateway()];
  const [before, ben] = [a.client(1), b.client(2)];
  ben.hear(LOG);
  before.say("here", LOG, 3);
  b.client(1).say("there", LOG, 4);
  room.elapse(100);
  before.session.close();
  room.elapse(100);
  expect(seen(ben)).toEqual({ 1: "there" });
});

test("R11: a gateway that stops tells that all of its clients left", () => {
  const room = new Room();
  const [a, b] = [room.gateway(), room.gateway()];
  const ben = b.client(100);
  ben.hear(LOG);
  for (let number = 1; number <= 40; number++) a.client(number).say("x".repeat(900));
  room.elapse(1_000);
  expect(ben.sees.size).toBe(40);
  a.presence.stop();
  room.elapse(1_000);
  expect(ben.sees.size).toBe(0);
  room.elapse(60_000);
  expect(a.published.every((message) => message.length <= PRESENCE_GOSSIP_BYTES_MAX + 2_048)).toBe(true);
});

test("R11: gossip that is lost costs the time until it is said again", () => {
  const room = new Room();
  const [a, b] = [room.gateway(), room.gateway()];
  const [ana, ben] = [a.client(1), b.client(2)];
  ben.hear(LOG);
  room.gossips = false;
  ana.say("lost");
  room.elapse(1_000);
  expect(seen(ben)).toEqual({});
  room.gossips = true;
  ana.say("lost", LOG, 1);
  room.elapse(PRESENCE_PACE_MS);
  expect(seen(ben)).toEqual({ 1: "lost" });
});

test("X1: what comes faster than the pace is replaced by the newest, and counted", () => {
  const room = new Room();
  const [a, b] = [room.gateway(), room.gateway()];
  const [ana, ben] = [a.client(1), b.client(2)];
  ben.hear(LOG);
  for (let at = 0; at < 50; at++) {
    ana.say(`at ${at}`);
    room.elapse(2);
  }
  room.elapse(200);
  expect(seen(ben)).toEqual({ 1: "at 49" });
  expect(a.published.length).toBeLessThanOrEqual(4);
  expect(ben.told.length).toBeLessThanOrEqual(4);
  expect(a.presence.counts().superseded).toBeGreaterThanOrEqual(40);
});

test("X1: one message between gateways is bounded, and who says much makes nobody wait for ever", () => {
  const room = new Room();
  const a = room.gateway();
  const clients = Array.from({ length: 60 }, (_, i) => a.client(i + 1));
  // Several times what fits a message, all of it again before the next one goes.
  for (let at = 0; at < 20; at++) {
    for (const client of clients) client.say("x".repeat(1_000));
    room.elapse(PRESENCE_PACE_MS);
  }
  const told = new Set(a.published.flatMap((message) => decodeGossip(message)).map(({ link: who }) => who));
  expect(told.size).toBe(60);
  for (const message of a.published) expect(message.length).toBeLessThan(PRESENCE_GOSSIP_BYTES_MAX + 256);
});

test("X1: a client that does not read is told the newest when it reads again, and nothing is queued for it", () => {
  const room = new Room();
  const gateway = room.gateway();
  const [ana, ben] = [gateway.client(1), gateway.client(2)];
  ben.hear(LOG);
  ben.reads = false;
  ana.say("first");
  for (let at = 0; at < 20; at++) {
    room.elapse(PRESENCE_PACE_MS);
    ana.say(`at ${at}`);
  }
  room.elapse(1_000);
  expect(ben.told).toHaveLength(1);
  ben.reads = true;
  ben.session.drained();
  expect(ben.told).toHaveLength(2);
  expect(seen(ben)).toEqual({ 1: "at 19" });
});

test("X1: topics of a client, and clients of a topic, are bounded; what is left out is told and counted", () => {
  const room = new Room();
  const gateway = room.gateway();
  const ana = gateway.client(1);
  const topics = Array.from({ length: PRESENCE_TOPICS_MAX + 1 }, (_, i): Topic => ({ kind: "name", name: `t${i}` }));
  for (const topic of topics) {
    ana.say("here", topic);
    room.elapse(PRESENCE_PACE_MS);
  }
  expect(ana.refusals).toEqual(["OVERLOADED"]);
  const clients = Array.from({ length: 130 }, (_, i) => gateway.client(i + 1_000));
  for (const client of clients) client.say("here");
  room.elapse(1_000);
  expect(clients.flatMap(({ refusals }) => refusals)).toEqual(["OVERLOADED", "OVERLOADED"]);
  expect(gateway.presence.counts()).toMatchObject({ full: 2, refused: 3 });
});

test("X1: a client that sends frame upon frame is closed", () => {
  const room = new Room();
  const ana = room.gateway().client(1);
  const flood = (): void => {
    for (let at = 0; at < 101; at++) ana.say("x", LOG, at);
  };
  expect(flood).toThrow(expect.objectContaining({ code: "OVERLOADED" }));
});

test("who may not read a document neither hears who is at it nor is seen there", () => {
  const room = new Room();
  const gateway = room.gateway();
  const stranger: Principal = {
    ...ANYBODY,
    name: "stranger",
    mayReadDocument: (collection) => collection === "other",
    mayReadKey: () => false,
  };
  const [ana, eve] = [gateway.client(1), gateway.client(2, stranger)];
  ana.hear(LOG, LOBBY);
  ana.say("secret");
  ana.say("secret", LOBBY);
  eve.hear(LOG, LOBBY);
  eve.say("let me in");
  eve.say("let me in", LOBBY);
  room.elapse(1_000);
  expect(seen(eve)).toEqual({});
  expect(seen(ana)).toEqual({});
  expect(eve.refusals).toEqual(["FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN"]);
});

test("a link that somebody else uses cannot be taken over, and everybody hears who is who", () => {
  const room = new Room();
  const [a, b] = [room.gateway(), room.gateway()];
  const [ana, eve, ben] = [
    a.client(1, { ...ANYBODY, name: "ana" }),
    b.client(1, { ...ANYBODY, name: "eve" }),
    b.client(2),
  ];
  ben.hear(LOG);
  ana.say("I am Ana");
  eve.say("I am Ana, too", LOG, 99);
  room.elapse(1_000);
  expect(seen(ben)).toEqual({ 1: "I am Ana" });
  expect(eve.refusals).toEqual(["FORBIDDEN"]);
  const [told] = ben.told;
  expect(told).toMatchObject({ kind: "present", entries: [{ principal: "ana" }] });
});

test("L1: where nobody is present nothing is published, and no timer runs", () => {
  const room = new Room();
  const gateway = room.gateway();
  const ana = gateway.client(1);
  ana.hear(LOG);
  ana.say("here");
  ana.session.close();
  expect(gateway.presence.counts()).toMatchObject({ entries: 1, topics: 1 });
  room.elapse(TTL_MS + 1_000);
  expect(gateway.presence.counts()).toMatchObject({ entries: 0, topics: 0 });
  const published = gateway.published.length;
  room.elapse(3_600_000);
  expect(gateway.published.length).toBe(published);
  expect(room.clock.step(Number.MAX_SAFE_INTEGER)).toBe(false);
});
