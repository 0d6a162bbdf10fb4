// @vitest-environment happy-dom
import { OpenClawProvider, type PresenceView, usePresence } from "@openclaw/browser/react";
import type { Client } from "@openclaw/core/client/client.ts";
import { createElement, type ReactNode, useEffect } from "react";
import { renderToString } from "react-dom/server";
import { expect, expectTypeOf, test, vi } from "vitest";
import { z } from "zod";
import { ANYBODY } from "../sync/anybody.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { acted, elapsed, Stage } from "./stage.ts";

const LOG = { collection: "log", id: "today" };
const cursor = z.object({ name: z.string(), at: z.number().int().default(0) });
type Cursors = PresenceView<z.input<typeof cursor>, z.output<typeof cursor>>;

const views: Cursors[] = [];

interface Place {
  readonly place?: string | typeof LOG | null;
  readonly me?: z.input<typeof cursor> | null;
}

function Others({ place = LOG, me = null }: Place): string {
  const view = usePresence(place, { schema: cursor });
  const { others, set, refusal } = view;
  views.push(view);
  useEffect(() => set(me), [set, me]);
  return refusal?.code ?? others.map(({ value }) => `${value.name} ${value.at}`).join(", ");
}

async function staged() {
  const { world, site, client } = await siteWithClient();
  const ben = await world.client(site);
  await world.flush();
  const stage = new Stage();
  const show = (node: ReactNode, given: Client | null = client) =>
    stage.show(createElement(OpenClawProvider, { client: given }, node));
  return { world, site, client, ben: ben.presence.of(LOG), stage, show };
}

test("others come, change and go; a render that changed nothing gives the same array", async () => {
  const { world, ben, stage, show } = await staged();
  await show(createElement(Others));
  expect(stage.text).toBe("");
  await acted(() => ben.set({ name: "ben", at: 4 }));
  await elapsed(world, 200);
  expect(stage.text).toBe("ben 4");
  const before = views.at(-1);
  await show(createElement(Others));
  expect(views.at(-1)?.others).toBe(before?.others);
  expect(views.at(-1)?.set).toBe(before?.set);
  await acted(() => ben.set({ at: "no cursor" }));
  await elapsed(world, 200);
  expect(stage.text).toBe("");
  await acted(() => ben.set({ name: "ben" }));
  await elapsed(world, 200);
  expect(stage.text).toBe("ben 0");
  await acted(() => ben.close());
  await elapsed(world, 200);
  expect(stage.text).toBe("");
});

test("a component in StrictMode is present while it is there, once, and elsewhere when it is given another place", async () => {
  const { world, client, ben, stage, show } = await staged();
  const of = vi.spyOn(client.presence, "of");
  const me = { name: "ana", at: 1 };
  await show(createElement(Others, { me }));
  await elapsed(world, 200);
  expect(ben.others()).toMatchObject([{ link: client.link, value: me }]);
  expect(of).toHaveBeenCalledTimes(1);
  await show(createElement(Others, { me, place: "lobby" }));
  await elapsed(world, 200);
  expect(ben.others()).toEqual([]);
  await show(createElement(Others, { me, place: null }));
  await show(createElement(Others, { me }));
  await elapsed(world, 200);
  expect(ben.others()).toMatchObject([{ value: me }]);
  await stage.clear();
  await elapsed(world, 200);
  expect(ben.others()).toEqual([]);
});

test("offline nobody is there; a client that is opened later is present then", async () => {
  const { world, client, ben, stage, show } = await staged();
  const me = { name: "ana", at: 1 };
  await show(createElement(Others, { me }), null);
  expect(stage.text).toBe("");
  await show(createElement(Others, { me }));
  await acted(() => ben.set({ name: "ben", at: 4 }));
  await elapsed(world, 200);
  expect(ben.others()).toHaveLength(1);
  expect(stage.text).toBe("ben 4");
  await acted(() => client.goOffline());
  await elapsed(world, 200);
  expect([stage.text, ben.others()]).toEqual(["", []]);
  await acted(() => client.goOnline());
  await elapsed(world, 1_000);
  expect([stage.text, ben.others().length]).toEqual(["ben 4", 1]);
});

test("what the site, or the client, refuses is told", async () => {
  const { world, site, stage, show } = await staged();
  site.principal = () => ({ ...ANYBODY, mayReadDocument: () => false });
  const eve = await world.client(site);
  await world.flush();
  await show(createElement(Others), eve);
  await elapsed(world, 200);
  expect(stage.text).toBe("FORBIDDEN");
  await show(createElement(Others, { place: "" }), eve);
  expect(stage.text).toBe("BAD_REQUEST");
  expect(stage.errors).toEqual([]);
});

test("on a server nobody is there", async () => {
  const { client, ben } = await staged();
  ben.set({ name: "ben", at: 1 });
  const of = vi.spyOn(client.presence, "of");
  expect(renderToString(createElement(OpenClawProvider, { client }, createElement(Others)))).toBe("");
  expect(of).not.toHaveBeenCalled();
});

test("the types of values are the schema's", () => {
  const typed = () => usePresence(LOG, { schema: cursor });
  expectTypeOf<ReturnType<typeof typed>>().toEqualTypeOf<Cursors>();
  const untyped = () => usePresence("lobby");
  expectTypeOf<ReturnType<typeof untyped>>().toEqualTypeOf<PresenceView<unknown, unknown>>();
});
