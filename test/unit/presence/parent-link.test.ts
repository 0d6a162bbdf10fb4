/** Presence on a sync stream, from the side of the gateway: what a child that keeps to no rule gets. */
import { utf8 } from "@openclaw/core/bytes.ts";
import type { ChildMessage } from "@openclaw/core/sync/message.ts";
import { expect, test } from "vitest";
import { Scripted } from "../sync/scripted.ts";
import { World } from "../sync/world.ts";
import { LOBBY, TTL_MS } from "./room.ts";

const here = (seq: number): ChildMessage => ({
  kind: "presence",
  entries: [{ topic: LOBBY, seq, ttlMs: TTL_MS, value: utf8(`${seq}`) }],
});

async function child() {
  const world = new World();
  const site = await world.cluster("california");
  return { world, site, child: new Scripted(world, site) };
}

test("X1: a child that floods its gateway with presence is closed, and its presence ends; nobody else notices", async () => {
  const { world, site, child: loud } = await child();
  const other = await world.client(site);
  await world.flush();
  const lobby = other.presence.of("lobby");
  await loud.hello();
  await loud.say(here(1));
  expect(lobby.others()).toMatchObject([{ value: 1 }]);
  const told = await loud.say(...Array.from({ length: 200 }, (_, i) => here(i)));
  expect(told.at(-1)).toMatchObject({ kind: "goodbye", code: "OVERLOADED" });
  expect(loud.closed).toBe(true);
  await world.elapse(200);
  expect(lobby.others()).toEqual([]);
  expect(other.status().link).toBe("online");
});

test("presence before the gateway has let a child in is malformed", async () => {
  const { child: early } = await child();
  expect(await early.say(here(1))).toMatchObject([{ kind: "goodbye", code: "MALFORMED_FRAME" }]);
  expect(early.closed).toBe(true);
});

test("a child hears again of all who are there when it asks again", async () => {
  const { world, site, child: late } = await child();
  const other = await world.client(site);
  await world.flush();
  other.presence.of("lobby").set("here");
  await world.elapse(200);
  await late.hello();
  const present = { kind: "present", entries: [{ topic: LOBBY, link: other.link, principal: "anonymous" }] };
  expect(await late.say({ kind: "hear", topics: [LOBBY] })).toMatchObject([present]);
  expect(await late.say({ kind: "hear", topics: [] })).toEqual([]);
  await late.listen(200);
  expect(await late.say({ kind: "hear", topics: [LOBBY] })).toMatchObject([present]);
});
