/** Handles of one document: it is open as long as one of them is, or is being opened. */
import { expect, test } from "vitest";
import { World } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";

test("a handle that is closed while another is being opened leaves that one whole", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const [client, other] = [await world.client(site), await world.client(site)];
  const first = await client.docs.open<Log>("log", "today", { initial: EMPTY });
  const opening = client.docs.open<Log>("log", "today");
  first.close();
  const second = await opening;
  await world.elapse(2_000);
  const asking = other.docs.open<Log>("log", "today");
  await world.elapse(2_000);
  const theirs = await asking;
  theirs.change(append("theirs"));
  await world.elapse(2_000);
  expect(second.doc().text).toBe("theirs");
  second.change(append(", mine"));
  const third = await client.docs.open<Log>("log", "today");
  expect(third.doc()).toBe(second.doc());
});

test("a document stays the same object while its own changes come back from the site", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const client = await world.client(site, { subscribe: { collections: ["log"] } });
  const handle = await client.docs.open<Log>("log", "today", { initial: EMPTY });
  await world.elapse(2_000);
  const edit = handle.change(append("mine"));
  const shown = handle.doc();
  await world.elapse(5_000);
  expect(edit.rung()).toBe("site");
  expect(client.status().cursor).toBe(2);
  expect(handle.doc()).toBe(shown);
});
