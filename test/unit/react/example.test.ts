// @vitest-environment happy-dom
import { OpenClawProvider } from "@openclaw/browser/react";
import { utf8 } from "@openclaw/core/bytes.ts";
import { createElement } from "react";
import { expect, test } from "vitest";
import { siteWithClient } from "../sync/site-with-client.ts";
import { Shop } from "./example.tsx";
import { acted, elapsed, Stage } from "./stage.ts";

test("the example of docs/react.md runs", async () => {
  const { world, site, client } = await siteWithClient();
  await site.execute({ kind: "put", key: utf8("tills/1"), value: utf8('{"amount":7}') });
  const stage = new Stage();
  await stage.show(createElement(OpenClawProvider, { client }, createElement(Shop)));
  await elapsed(world, 5_000);
  expect(stage.element.querySelector("ul")?.textContent).toBe("7");
  await acted(() => stage.element.querySelector("button")?.click());
  expect(stage.element.querySelector("button")?.textContent).toBe("yes");
  await elapsed(world, 5_000);
  expect(stage.element.querySelector("[data-rung]")?.textContent).toBe("Saved at the site");
  expect(stage.errors).toEqual([]);
});
