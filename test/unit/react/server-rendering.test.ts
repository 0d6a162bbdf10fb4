/** On a server there is no device to read: everything is opening, and no global of a browser is touched. */
import {
  DurabilityBadge,
  OpenClawProvider,
  useClient,
  useDocument,
  useKv,
  usePresence,
  useRange,
  useSyncStatus,
} from "@openclaw/browser/react";
import { createElement, type ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { EMPTY, type Log } from "../client/log.ts";
import { siteWithClient } from "../sync/site-with-client.ts";

function App(): ReactNode {
  const log = useDocument<Log>("log", "today", { initial: EMPTY });
  const kinds = [
    log.kind,
    useKv("a").kind,
    useRange("a").kind,
    usePresence(log.handle ?? "lobby").others.length,
    useSyncStatus()?.link ?? "null",
  ];
  return createElement(
    "p",
    null,
    [useClient() === null, ...kinds].join(" "),
    createElement(DurabilityBadge, { of: log.handle }),
  );
}

const HTML = '<p>true opening opening opening 0 null<span data-rung="none"></span></p>';

test("rendered on a server, hooks are opening, with no client, one that is being opened, and one that is there", async () => {
  expect(typeof document).toBe("undefined");
  const { client } = await siteWithClient();
  const render = (given: typeof client | Promise<typeof client> | null): string =>
    renderToString(createElement(OpenClawProvider, { client: given }, createElement(App)));
  expect(render(null)).toBe(HTML);
  expect(render(new Promise(() => {}))).toBe(HTML);
  expect(render(client)).toBe(HTML);
  expect(client.status()).toMatchObject({ link: "online", unsynced: 0 });
});
