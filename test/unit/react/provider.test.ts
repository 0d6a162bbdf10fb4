// @vitest-environment happy-dom
import type { Client } from "@openclaw/browser";
import { OpenClawProvider, useClient, useDocument, useSyncStatus } from "@openclaw/browser/react";
import { Component, createElement, type ReactNode } from "react";
import { expect, test } from "vitest";
import { EMPTY, type Log } from "../client/log.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { acted, flushed, Stage } from "./stage.ts";

class Boundary extends Component<{ readonly children: ReactNode }, { readonly error: Error | null }> {
  override state = { error: null };
  static getDerivedStateFromError = (error: Error) => ({ error });
  override render(): ReactNode {
    return this.state.error === null ? this.props.children : String(this.state.error);
  }
}

function Link(): string {
  const [client, status] = [useClient(), useSyncStatus()];
  return client === null ? "opening" : (status?.link ?? "no status");
}

const renders: string[] = [];
function Seen(): null {
  renders.push(useClient() === null ? "opening" : "open");
  return null;
}

function Text(): string {
  const log = useDocument<Log>("log", "today", { initial: EMPTY });
  return log.kind === "ready" ? `text ${log.doc.text}` : log.kind;
}

test("a client that is being opened is there once it is open", async () => {
  const { client } = await siteWithClient();
  const { promise, resolve } = Promise.withResolvers<Client>();
  const stage = new Stage();
  await stage.show(createElement(OpenClawProvider, { client: promise }, createElement(Link)));
  expect(stage.text).toBe("opening");
  await acted(() => resolve(client));
  expect(stage.text).toBe("online");
  // The next page of the same app begins with it.
  renders.length = 0;
  const next = new Stage();
  await next.show(createElement(OpenClawProvider, { client: promise }, createElement(Seen)));
  expect(new Set(renders)).toEqual(new Set(["open"]));
});

test("a client that could not be opened is an error of whoever asks for it", async () => {
  const stage = new Stage();
  const failing = Promise.reject(new Error("no storage"));
  await stage.show(
    createElement(OpenClawProvider, { client: failing }, "around ", createElement(Boundary, null, createElement(Link))),
  );
  expect(stage.text).toBe("around Error: no storage");
});

test("another client is another site: what is shown begins anew", async () => {
  const [first, second] = [await siteWithClient(), await siteWithClient()];
  const stage = new Stage();
  const show = (client: Client | null) =>
    stage.show(createElement(OpenClawProvider, { client }, createElement(Text), " ", createElement(Link)));
  await show(first.client);
  await flushed(first.world);
  const opening = first.client.docs.open<Log>("log", "today");
  await first.world.flush();
  const handle = await opening;
  await acted(() =>
    handle.change((doc) => {
      doc.text = "first";
    }),
  );
  expect(stage.text).toBe("text first online");
  await show(second.client);
  await flushed(second.world);
  expect(stage.text).toBe("text  online");
  await show(null);
  expect(stage.text).toBe("opening opening");
  expect(stage.errors).toEqual([]);
});

test("a hook without a provider says what it lacks", async () => {
  const stage = new Stage();
  await stage.show(createElement(Boundary, null, createElement(Link)));
  expect(stage.text).toMatch(/no <OpenClawProvider> around/);
});
