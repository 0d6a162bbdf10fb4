// @vitest-environment happy-dom
import { OpenClawProvider, useDocument, useSyncStatus } from "@openclaw/browser/react";
import { createElement, type ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { EMPTY, type Log } from "../client/log.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { flushed, Stage } from "./stage.ts";

const firstRenders: string[] = [];

function App(): ReactNode {
  const log = useDocument<Log>("log", "today", { initial: EMPTY });
  const text = `${log.kind} ${useSyncStatus()?.link ?? "none"}`;
  firstRenders.push(text);
  return createElement("p", null, text);
}

test("a page takes over what the server made of it without a difference, though its client is open by then", async () => {
  const { world, client } = await siteWithClient();
  const opening = client.docs.open<Log>("log", "today", { initial: EMPTY });
  await world.flush();
  await opening;
  const page = (given: typeof client | null): ReactNode =>
    createElement(OpenClawProvider, { client: given }, createElement(App));
  const html = renderToString(page(null));
  expect(html).toContain("opening none");
  firstRenders.length = 0;
  // Another part of the page shows it already.
  await new Stage().show(page(client));
  await flushed(world);
  expect(firstRenders.at(-1)).toBe("ready online");
  firstRenders.length = 0;
  const stage = new Stage();
  await stage.hydrate(html, page(client));
  expect(firstRenders[0]).toBe("opening none");
  await flushed(world);
  expect(stage.text).toBe("ready online");
  expect(stage.errors).toEqual([]);
});
