// @vitest-environment happy-dom
import type { Edit } from "@openclaw/browser";
import {
  DurabilityBadge,
  type Durable,
  OpenClawProvider,
  useDocument,
  useDurability,
  useSyncStatus,
} from "@openclaw/browser/react";
import { createElement, Fragment, type ReactNode } from "react";
import { expect, test } from "vitest";
import { HeldStore } from "../client/held-store.ts";
import { append, EMPTY, type Log } from "../client/log.ts";
import { ANYBODY } from "../sync/anybody.ts";
import { World } from "../sync/world.ts";
import { OwnWords } from "./own-words.tsx";
import { acted, elapsed, flushed, Stage } from "./stage.ts";

async function staged() {
  const world = new World();
  const [hub, site] = [await world.cluster("hub"), await world.cluster("california")];
  const uplink = world.uplink(site, hub, { collections: ["log"] });
  uplink.setEnabled(false);
  const store = new HeldStore();
  const client = await world.client(site, { store });
  await world.flush();
  const stage = new Stage();
  const show = (...children: ReactNode[]) => stage.show(createElement(OpenClawProvider, { client }, ...children));
  return { world, site, uplink, store, client, stage, show };
}

const badge = (stage: Stage): readonly [string | undefined, string | null] => {
  const span = stage.element.querySelector("span");
  return [span?.dataset.rung, span?.textContent ?? null];
};

let handle: Durable | null = null;
let change: ((text: string) => Edit) | null = null;

function Document(): ReactNode {
  const log = useDocument<Log>("log", "today", { initial: EMPTY });
  handle = log.handle;
  change = log.handle === null ? null : (text) => (log.handle as NonNullable<typeof log.handle>).change(append(text));
  return createElement(DurabilityBadge, { of: log.handle, className: "mine" });
}

function Words({ of }: { readonly of: Durable }): string {
  const { safety, failure, counts } = useDurability(of);
  return `${safety} ${failure?.code} ${counts.refused + counts.unsaved}`;
}

let renders = 0;
function Counted(): ReactNode {
  renders++;
  return useDurability(handle).safety;
}

function Status(): string {
  const status = useSyncStatus();
  return status === null ? "none" : `${status.link}, ${status.unsynced} unsynced, ${status.failed} failed`;
}

test("S1, S3: the badge of a document climbs from saving to the hub, by its least safe edit", async () => {
  const { world, uplink, store, client, stage, show } = await staged();
  await show(createElement(Document));
  expect(badge(stage)).toEqual(["none", ""]);
  await flushed(world);
  expect(badge(stage)).toEqual(["site", "Saved at the site"]);
  await acted(() => client.goOffline());
  store.holding = true;
  await acted(() => change?.("a"));
  expect(badge(stage)).toEqual(["saving", "Saving"]);
  await acted(() => store.release());
  await flushed(world);
  expect(badge(stage)).toEqual(["device", "Saved on this device"]);
  await acted(() => client.goOnline());
  await elapsed(world, 2_000);
  expect(badge(stage)).toEqual(["site", "Saved at the site"]);
  await acted(() => uplink.setEnabled(true));
  await elapsed(world, 10_000);
  expect(badge(stage)).toEqual(["hub", "Saved at the hub"]);
  expect(stage.element.querySelector("span")?.className).toBe("mine");
});

test("the badge of an edit of a key climbs as well, and says what it was refused with, or lost by", async () => {
  const { world, site, uplink, store, client, stage, show } = await staged();
  await acted(() => client.goOffline());
  const edit = client.kv.put("a", "1");
  await show(createElement(DurabilityBadge, { of: edit }));
  expect(badge(stage)).toEqual(["device", "Saved on this device"]);
  await acted(() => uplink.setEnabled(true));
  await acted(() => client.goOnline());
  await elapsed(world, 10_000);
  expect(badge(stage)).toEqual(["hub", "Saved at the hub"]);

  site.principal = () => ({ ...ANYBODY, mayWriteKey: () => false });
  world.cutAll();
  await elapsed(world, 2_000);
  const refused = client.kv.put("a", "2");
  await show(createElement(Words, { of: refused }));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("refused FORBIDDEN 1");

  store.failing = 2;
  const lost = client.kv.put("a", "3");
  await show(createElement(Fragment, null, createElement(DurabilityBadge, { of: lost })));
  await flushed(world);
  expect(badge(stage)).toEqual(["unsaved", "Not saved"]);
});

test("children of a badge say it in their own words, or in none; none of its attributes is lost", async () => {
  const { world, uplink, client, stage, show } = await staged();
  const edit = client.kv.put("a", "1");
  await show(createElement(OwnWords, { of: edit }));
  await flushed(world);
  expect(badge(stage)).toEqual(["site", "site: 1 von 1"]);
  expect(stage.element.querySelector("span")?.id).toBe("badge");
  await acted(() => uplink.setEnabled(true));
  await elapsed(world, 10_000);
  expect(badge(stage)).toEqual(["hub", ""]);
});

test("nothing is rendered again for an edit whose rung stays", async () => {
  const { world, client, show } = await staged();
  await show(createElement(Document));
  await flushed(world);
  renders = 0;
  await show(createElement(Document), createElement(Counted, { key: "counted" }));
  const before = renders;
  await acted(() => void client.kv.put("elsewhere", "1"));
  await elapsed(world, 3_000);
  expect(renders).toBe(before);
});

test("the status is the client's: link, and what is not yet at the site", async () => {
  const { world, client, stage, show } = await staged();
  await show(createElement(Status));
  expect(stage.text).toBe("online, 0 unsynced, 0 failed");
  await acted(() => client.goOffline());
  await acted(() => void client.kv.put("a", "1"));
  await flushed(world);
  expect(stage.text).toBe("offline, 1 unsynced, 0 failed");
  await acted(() => client.goOnline());
  await elapsed(world, 2_000);
  expect(stage.text).toBe("online, 0 unsynced, 0 failed");
});
