/** A tab's way to the site while its code is on the way. */

import type { Gateway } from "@openclaw/browser/connection/gateways.ts";
import { type ClosableSite, LoadedTabSite, type OpenSite } from "@openclaw/browser/tabs/loaded-tab-site.ts";
import { RelayEnd } from "@openclaw/browser/worker/relay.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { expect, test } from "vitest";

const gateway = (peer: string): Gateway => ({ peer, addresses: [`/ip4/127.0.0.1/tcp/9/ws/p2p/${peer}`] });

/** Says what it was told, and connects. */
class ToldSite implements ClosableSite {
  readonly told: string[] = [];
  async connect() {
    this.told.push("connect");
    return new RelayEnd<Uint8Array, Uint8Array>(
      () => undefined,
      () => undefined,
    );
  }
  setGateways(gateways: readonly Gateway[]): void {
    this.told.push(`gateways ${gateways.map(({ peer }) => peer)}`);
  }
  states() {
    return [];
  }
  drop(): void {
    this.told.push("drop");
  }
  freeze(): void {
    this.told.push("freeze");
  }
  resume(): void {
    this.told.push("resume");
  }
  async close(): Promise<void> {
    this.told.push("close");
  }
}

/** Its code comes when the test says so. */
function loading() {
  const site = new ToldSite();
  const asked: { readonly come: () => void; readonly fail: () => void }[] = [];
  const open = (gateways: readonly Gateway[]) => {
    site.told.push(`opens ${gateways.map(({ peer }) => peer)}`);
    return site;
  };
  const loaded = new LoadedTabSite([gateway("one")], () => {
    const { promise, resolve, reject } = Promise.withResolvers<OpenSite>();
    asked.push({ come: () => resolve(open), fail: () => reject(new Error("no such file")) });
    return promise;
  });
  return { site, asked, loaded };
}

test("the code is asked for at once, and what was said meanwhile counts", async () => {
  const { site, asked, loaded } = loading();
  expect(asked).toHaveLength(1);
  expect(loaded.states()).toEqual([]);
  loaded.setGateways([gateway("two")]);
  loaded.freeze();
  const connecting = loaded.connect(null);
  asked[0]?.come();
  await connecting;
  expect(site.told).toEqual(["opens two", "freeze", "connect"]);
  loaded.resume();
  loaded.drop();
  loaded.setGateways([gateway("three")]);
  await loaded.connect(null);
  expect(site.told.slice(3)).toEqual(["resume", "drop", "gateways three", "connect"]);
  expect(asked).toHaveLength(1);
});

test("code that could not be loaded is asked for again at the next try", async () => {
  const { site, asked, loaded } = loading();
  const first = loaded.connect(null);
  asked[0]?.fail();
  await expect(first).rejects.toMatchObject({ code: "UNAVAILABLE" });
  loaded.setGateways([gateway("two")]);
  const second = loaded.connect(null);
  asked[1]?.come();
  await second;
  expect(site.told).toEqual(["opens two", "connect"]);
});

test("who was dropped while the code was on its way dials nobody", async () => {
  const { site, asked, loaded } = loading();
  const connecting = loaded.connect(null);
  loaded.drop();
  asked[0]?.come();
  await expect(connecting).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(site.told).not.toContain("connect");
});

test("tries that wait for the code together open one site, and its end is waited for", async () => {
  const { site, asked, loaded } = loading();
  const connecting = [loaded.connect(null), loaded.connect(null)];
  asked[0]?.come();
  await Promise.all(connecting);
  await loaded.close();
  expect(site.told).toEqual(["opens one", "connect", "connect", "close"]);
});

test("closed while the code is on its way, it waits for none, opens nothing, and connects no more", async () => {
  const { site, asked, loaded } = loading();
  await loaded.close();
  asked[0]?.come();
  await expect(loaded.connect(null)).rejects.toEqual(new OpenClawError("STOPPED"));
  expect([asked.length, site.told]).toEqual([1, []]);
});
