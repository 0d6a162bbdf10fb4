// @vitest-environment happy-dom
/** `useDocument` with a schema: typed by it, and what does not fit is told. */
import {
  type DocumentView,
  OpenClawProvider,
  type TypedDocumentView,
  useDocument,
  useDurability,
} from "@openclaw/browser/react";
import type { TypedDocumentHandle } from "@openclaw/core/client/typed-documents.ts";
import { createElement, type ReactNode } from "react";
import { expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { codeOf } from "../sync/code-of.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { acted, elapsed, flushed, Stage } from "./stage.ts";

const shift = z.object({ guard: z.string().min(1).default("nobody"), hours: z.array(z.number()) });
type Written = z.input<typeof shift>;
type Read = z.output<typeof shift>;

const views: TypedDocumentView<Written, Read>[] = [];
const latest = () => {
  const view = views.at(-1);
  if (view?.kind !== "ready") throw new Error(`it is ${view?.kind}`);
  return view;
};

const textOf = (view: TypedDocumentView<Written, Read>): string => {
  if (view.kind === "failed") return `failed: ${view.error.code}`;
  if (view.kind !== "ready") return view.kind;
  return view.value.ok ? `${view.value.value.guard}: ${view.value.value.hours}` : view.value.error.code;
};

function Shift({ initial }: { readonly initial?: Written }): ReactNode {
  const view = useDocument("shifts", "today", initial === undefined ? { schema: shift } : { schema: shift, initial });
  views.push(view);
  const { safety } = useDurability(view.handle);
  return createElement("p", { "data-safety": safety }, textOf(view));
}

function Untyped(): ReactNode {
  const view = useDocument<{ hours: unknown }>("shifts", "today");
  return createElement("i", null, view.kind === "ready" ? JSON.stringify(view.doc.hours) : view.kind);
}

async function staged() {
  views.length = 0;
  const given = await siteWithClient();
  const stage = new Stage();
  const show = (...children: ReactNode[]) =>
    stage.show(createElement(OpenClawProvider, { client: given.client }, ...children));
  return { ...given, stage, show };
}

test("a value is as the schema gives it, and an edit that would make it unfit is refused whole", async () => {
  const { world, stage, show } = await staged();
  await show(createElement(Shift, { initial: { hours: [1] } }));
  expect(stage.text).toBe("opening");
  await flushed(world);
  expect(stage.text).toBe("nobody: 1");
  await acted(() => void latest().handle.change((doc) => void doc.hours.push(2)));
  expect(stage.text).toBe("nobody: 1,2");
  const before = latest();
  const unfit = async () =>
    latest().handle.change((doc) => {
      doc.hours.push(3);
      doc.guard = "";
    });
  expect(await codeOf(unfit())).toBe("VALUE_INVALID");
  await elapsed(world, 2_000);
  expect(latest()).toBe(before);
  expect(stage.text).toBe("nobody: 1,2");
  expect(stage.element.querySelector("p")?.dataset.safety).toBe("site");
  expect(stage.errors).toEqual([]);
});

test("what others made of it is told, and can be mended", async () => {
  const { world, site, stage, show } = await staged();
  await show(createElement(Shift, { initial: { hours: [1] } }), createElement(Untyped));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("nobody: 1[1]");
  const other = await world.client(site);
  const opening = other.docs.open<{ hours: unknown }>("shifts", "today");
  await elapsed(world, 2_000);
  (await opening).change((doc) => {
    doc.hours = "all day";
  });
  await elapsed(world, 2_000);
  expect(stage.text).toBe('VALUE_INVALID"all day"');
  await acted(() => {
    latest().handle.change((doc) => {
      doc.hours = [9];
    });
  });
  expect(stage.text).toBe("nobody: 9[9]");
  expect(stage.errors).toEqual([]);
});

test("VALUE_INVALID: an initial content that does not fit is not written", async () => {
  const { world, site, client, stage, show } = await staged();
  await show(createElement(Shift, { initial: { guard: "", hours: [] } }));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("failed: VALUE_INVALID");
  expect([client.status().unsynced, site.position().revision]).toEqual([0, 0]);
  await show(createElement(Shift));
  await elapsed(world, 2_000);
  expect(stage.text).toBe("absent");
});

test("types follow from the schema, and without one from the app's word", () => {
  const typed = () => useDocument("shifts", "today", { schema: shift });
  const withInitial = () => useDocument("shifts", "today", { schema: shift, initial: { hours: [] } });
  const untyped = () => useDocument<{ text: string }>("log", "today");
  type Ready = Extract<ReturnType<typeof typed>, { kind: "ready" }>;
  expectTypeOf<ReturnType<typeof typed>>().toEqualTypeOf<TypedDocumentView<Written, Read>>();
  expectTypeOf<ReturnType<typeof withInitial>>().toEqualTypeOf<TypedDocumentView<Written, Read>>();
  expectTypeOf<ReturnType<typeof untyped>>().toEqualTypeOf<DocumentView<{ text: string }>>();
  expectTypeOf<Ready["handle"]>().toEqualTypeOf<TypedDocumentHandle<Written, Read>>();
  expectTypeOf<Extract<Ready["value"], { ok: true }>["value"]>().toEqualTypeOf<Read>();
  // @ts-expect-error an initial content of another form
  void (() => useDocument("shifts", "today", { schema: shift, initial: { hours: "all day" } }));
});
