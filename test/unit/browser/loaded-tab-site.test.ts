/** A tab's way to the site while its code is on the way. */

import type { Gateway } from "@openclaw/browser/connection/gateways.ts";
import { type ClosableSite, LoadedTabSite } from "@openclaw/browser/tabs/loaded-tab-site.ts";
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
  const asked: { readonly come: () => void; readonly fail: () => void; readonly known: readonly Gateway[] }[] = [];
  const loaded = new LoadedTabSite([gateway("one")], (known) => {
    const { promise, resolve, reject } = Promise.withResolvers<ClosableSite>();
    asked.push({ come: () => resolve(site), fail: () => reject(new Error("no such file")), known });
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
  expect(site.told).toEqual(["gateways two", "freeze", "connect"]);
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
  expect(asked[1]?.known).toEqual([gateway("two")]);
  asked[1]?.come();
  await second;
  expect(site.told.at(-1)).toBe("connect");
});

test("who was dropped while the code was on its way dials nobody", async () => {
  const { site, asked, loaded } = loading();
  const connecting = loaded.connect(null);
  loaded.drop();
  asked[0]?.come();
  await expect(connecting).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(site.told).not.toContain("connect");
});

test("closed while the code is on its way, it closes what comes, and connects no more", async () => {
  const { site, asked, loaded } = loading();
  const closing = loaded.close();
  asked[0]?.come();
  await closing;
  expect(site.told.at(-1)).toBe("close");
  await expect(loaded.connect(null)).rejects.toEqual(new OpenClawError("STOPPED"));
});

test("closed before code that never comes, it holds nothing", async () => {
  const { asked, loaded } = loading();
  const closing = loaded.close();
  asked[0]?.fail();
  await closing;
  expect(asked).toHaveLength(1);
});
