// @vitest-environment happy-dom
import type { DocumentHandle } from "@openclaw/browser";
import { type DocumentView, OpenClawProvider, useDocument } from "@openclaw/browser/react";
import { act, createElement, type ReactNode } from "react";
import { expect, expectTypeOf, test, vi } from "vitest";
import { append, EMPTY, type Log } from "../client/log.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { acted, elapsed, flushed, Stage } from "./stage.ts";

const textOf = (view: DocumentView<Log>): string => {
  switch (view.kind) {
    case "ready":
      return `ready: ${view.doc.text}`;
    case "failed":
      return `failed: ${view.error.code}`;
    default:
      return view.kind;
  }
};

/** What each render of a component gave, the latest last; StrictMode renders twice. */
const views: DocumentView<Log>[] = [];
const latest = (): DocumentView<Log> => {
  const view = views.at(-1);
  if (view === undefined) throw new Error("nothing was rendered");
  return view;
};

function Shown({ id = "today", initial }: { readonly id?: string; readonly initial?: Log }): ReactNode {
  const view = useDocument<Log>("log", id, initial === undefined ? {} : { initial });
  views.push(view);
  return createElement("p", null, textOf(view));
}

async function staged() {
  views.length = 0;
  const given = await siteWithClient();
  const stage = new Stage();
  const show = (...children: ReactNode[]) =>
    stage.show(createElement(OpenClawProvider, { client: given.client }, ...children));
  return { ...given, stage, show };
}

test("a document opens, shows own edits in their turn and others' as they come", async () => {
  const { world, site, client, stage, show } = await staged();
  await show(createElement(Shown, { initial: { text: "" } }));
  expect(stage.text).toBe("opening");
  await flushed(world);
  expect(stage.text).toBe("ready: ");
  await acted(() => latest().handle?.change(append("mine")));
  expect(stage.text).toBe("ready: mine");
  await elapsed(world, 2_000);
  const other = await world.client(site);
  const opening = other.docs.open<Log>("log", "today");
  await world.flush();
  (await opening).change(append(", theirs"));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("ready: mine, theirs");
  await act(() => client.stop());
  expect(stage.errors).toEqual([]);
});

test("a document without content is absent, until it has some", async () => {
  const { world, site, stage, show } = await staged();
  await show(createElement(Shown));
  await flushed(world);
  expect(stage.text).toBe("absent");
  const other = await world.client(site);
  const opening = other.docs.open<Log>("log", "today", { initial: EMPTY });
  await elapsed(world, 2_000);
  (await opening).change(append("theirs"));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("ready: theirs");
});

test("StrictMode, and many components, open a document once; the last one that goes closes it", async () => {
  const { world, client, stage, show } = await staged();
  const open = vi.spyOn(client.docs, "open");
  await show(createElement(Shown, { key: 1, initial: EMPTY }), createElement(Shown, { key: 2, initial: { text: "" } }));
  await flushed(world);
  expect(stage.text).toBe("ready: ready: ");
  expect(open).toHaveBeenCalledTimes(1);
  const { handle } = latest();
  await show(createElement(Shown, { key: 2, initial: EMPTY }));
  await acted(() => handle?.change(append("still open")));
  await show(null);
  expect(() => handle?.change(append("closed"))).toThrow(expect.objectContaining({ code: "STOPPED" }));
  await show(createElement(Shown, { initial: EMPTY }));
  await flushed(world);
  expect(stage.text).toBe("ready: still open");
  expect(open).toHaveBeenCalledTimes(2);
});

test("a component that goes before the document is open leaves nothing open", async () => {
  const { world, client, show } = await staged();
  const open = vi.spyOn(client.docs, "open");
  await show(createElement(Shown, { initial: EMPTY }));
  await show(null);
  await flushed(world);
  const [opened] = await Promise.all(open.mock.results.map(({ value }) => value));
  expect(() => opened.change(append("x"))).toThrow(expect.objectContaining({ code: "STOPPED" }));
});

test("a document that is open already is ready in the first render of whoever looks at it next", async () => {
  const { world, show } = await staged();
  const first = createElement(Shown, { key: 1, initial: EMPTY });
  await show(first);
  await flushed(world);
  views.length = 0;
  await show(first, createElement(Shown, { key: 2, initial: EMPTY }));
  expect(new Set(views.map(({ kind }) => kind))).toEqual(new Set(["ready"]));
});

test("a rung that moves renders nothing again; another document does", async () => {
  const { world, stage, show } = await staged();
  await show(createElement(Shown, { initial: EMPTY }));
  await flushed(world);
  await acted(() => latest().handle?.change(append("mine")));
  const { handle } = latest();
  const rendered = views.length;
  await elapsed(world, 5_000);
  expect(handle?.edits().map(({ rung }) => rung)).toEqual(["site", "site"]);
  expect(views.length).toBe(rendered);
  await show(createElement(Shown, { id: "tomorrow", initial: EMPTY }));
  await flushed(world);
  expect(stage.text).toBe("ready: ");
  expect(latest().handle?.id).toBe("tomorrow");
  expect(() => handle?.change(append("x"))).toThrow(expect.objectContaining({ code: "STOPPED" }));
});

test("what cannot be opened has failed, and says why", async () => {
  const { world, stage, show } = await staged();
  await show(createElement(Shown, { id: "" }));
  await flushed(world);
  expect(stage.text).toBe("failed: BAD_REQUEST");
});

test("the type of a document is what its initial content is", () => {
  const use = () => useDocument("log", "today", { initial: { text: "", lines: [1] } });
  type Ready = Extract<ReturnType<typeof use>, { kind: "ready" }>;
  expectTypeOf<Ready["handle"]>().toEqualTypeOf<DocumentHandle<{ text: string; lines: number[] }>>();
  expectTypeOf<Ready["doc"]["lines"]>().toExtend<readonly number[]>();
});
