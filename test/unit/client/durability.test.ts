/** How far an edit is safe, told as one value; and that nothing is told to be safer than it is. */
import { durabilityOf, isSameDurability } from "@openclaw/core/client/durability.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { expect, test } from "vitest";
import { ANYBODY } from "../sync/anybody.ts";
import { codeOf } from "../sync/code-of.ts";
import { World } from "../sync/world.ts";
import { HeldStore } from "./held-store.ts";
import { append, EMPTY, type Log } from "./log.ts";

test("many edits are as safe as the least safe of them", () => {
  const refused = { rung: "device", failure: new OpenClawError("FORBIDDEN", "no") } as const;
  const lost = { rung: null, failure: new OpenClawError("CLIENT_STORAGE_FAILED", "full") } as const;
  const at = (rung: "device" | "site" | "hub" | null) => ({ rung, failure: null });
  expect(durabilityOf([])).toMatchObject({ safety: null, failure: null });
  expect(durabilityOf([at("hub")]).safety).toBe("hub");
  expect(durabilityOf([at("hub"), at("site"), at("hub")]).safety).toBe("site");
  expect(durabilityOf([at("site"), at("device")]).safety).toBe("device");
  expect(durabilityOf([at("device"), at(null)]).safety).toBe("saving");
  expect(durabilityOf([at(null), refused]).safety).toBe("refused");
  const all = durabilityOf([at("hub"), refused, lost, at(null), at("site"), at("device"), at("hub")]);
  expect(all.safety).toBe("unsaved");
  expect(all.counts).toEqual({ unsaved: 1, refused: 1, saving: 1, device: 1, site: 1, hub: 2 });
  expect(all.failure?.code).toBe("FORBIDDEN");
  expect(isSameDurability(all, durabilityOf([refused, lost, at(null), at("site"), at("device"), at("hub")]))).toBe(
    false,
  );
  expect(isSameDurability(durabilityOf([refused]), durabilityOf([{ ...refused }]))).toBe(true);
});

test("S1, S3: an edit of a key tells each rung as it reaches it, and the client's listeners hear of each", async () => {
  const world = new World();
  const [hub, site] = [await world.cluster("hub"), await world.cluster("california")];
  const uplink = world.uplink(site, hub);
  uplink.setEnabled(false);
  const store = new HeldStore();
  const client = await world.client(site, { store });
  client.goOffline();
  await world.flush();
  store.holding = true;
  const edit = client.kv.put("a", "1");
  const heard: unknown[] = [edit.rung()];
  client.subscribe(() => {
    if (heard.at(-1) !== edit.rung()) heard.push(edit.rung());
  });
  await world.flush();
  expect(edit.rung()).toBe(null);
  store.release();
  await world.flush();
  expect(heard).toEqual([null, "device"]);
  client.goOnline();
  await world.elapse(2_000);
  expect(heard).toEqual([null, "device", "site"]);
  uplink.setEnabled(true);
  await world.elapse(10_000);
  expect(heard).toEqual([null, "device", "site", "hub"]);
  expect(edit.failure()).toBe(null);
});

test("an edit of a document tells what its changes are on", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const store = new HeldStore();
  const client = await world.client(site, { store });
  const handle = await client.docs.open<Log>("log", "today", { initial: EMPTY });
  await world.flush();
  store.holding = true;
  const edit = handle.change(append("hello"));
  expect([edit.rung(), edit.failure()]).toEqual([null, null]);
  store.release();
  await world.flush();
  expect([edit.rung(), edit.failure()]).toEqual(["site", null]);
  expect(handle.change(() => {}).rung()).toBe("hub");
});

test("what the site refused stays on the device, and says why; what it was not asked in this session does not", async () => {
  const world = new World();
  const site = await world.cluster("california");
  site.principal = () => ({ ...ANYBODY, mayWriteKey: () => false, mayWriteDocument: () => false });
  const client = await world.client(site);
  const edit = client.kv.put("a", "1");
  const handle = await client.docs.open<Log>("log", "today", { initial: EMPTY });
  const change = handle.change(append("no"));
  await world.flush();
  for (const one of [edit, change]) {
    expect(one.rung()).toBe("device");
    expect(one.failure()?.code).toBe("FORBIDDEN");
  }
  client.goOffline();
  const kept = client.kv.put("b", "2");
  await client.stop();
  expect(await codeOf(kept.site)).toBe("STOPPED");
  expect([kept.rung(), kept.failure()]).toEqual(["device", null]);
});

test("S1: what could not be stored is on no rung, though it was made", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const store = new HeldStore();
  const client = await world.client(site, { store });
  const handle = await client.docs.open<Log>("log", "today", { initial: EMPTY });
  await world.flush();
  // Both at once, then each by itself.
  store.failing = 3;
  const put = client.kv.put("a", "1");
  const change = handle.change(append("lost"));
  const [hash] = change.hashes;
  if (hash === undefined) throw new Error("it changed something");
  const [device, later] = [codeOf(handle.settled(hash, "device")), codeOf(handle.settled(hash, "hub"))];
  const shown: unknown[] = [];
  handle.subscribe(() => shown.push(...handle.edits().map((edit) => (edit.hash === hash ? edit.rung : "other"))));
  await world.flush();
  expect(await Promise.all([device, later])).toEqual(["CLIENT_STORAGE_FAILED", "CLIENT_STORAGE_FAILED"]);
  for (const one of [put, change]) {
    expect(one.rung()).toBe(null);
    expect(one.failure()?.code).toBe("CLIENT_STORAGE_FAILED");
  }
  expect(handle.rung(hash)).toBe(null);
  for (const rung of ["device", "site", "hub"] as const)
    expect(await codeOf(handle.settled(hash, rung))).toBe("CLIENT_STORAGE_FAILED");
  expect(shown.filter((rung) => rung !== null && rung !== "other")).toEqual([]);
});

test("L3: of what was committed in an epoch that is over nobody knows, and it is on no rung", async () => {
  const world = new World();
  const [before, after] = [await world.cluster("california"), await world.cluster("california")];
  let site = before;
  const client = await world.client(before, { connect: async () => site.connect() });
  const edit = client.kv.put("a", "1");
  await world.flush();
  expect(edit.rung()).toBe("site");
  site = after;
  world.cutAll();
  await world.elapse(20_000);
  // The client takes no stream, and so knows of no epoch but the one that it was last welcomed in.
  expect(client.status().link).toBe("online");
  expect([edit.rung(), edit.failure()?.code]).toEqual([null, "WRONG_EPOCH"]);
});
