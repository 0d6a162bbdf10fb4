import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SiteConnection, SYNC_PROTOCOL } from "@openclaw/browser/connection/connection.ts";
import type { Gateway } from "@openclaw/browser/connection/gateways.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isLinkId, revision } from "@openclaw/core/ids.ts";
import { decodeChildMessage, encodeParentMessage } from "@openclaw/core/sync/codec.ts";
import { childConnection } from "@openclaw/core/sync/connection.ts";
import {
  type ChildConnection,
  type ChildMessage,
  type ParentMessage,
  SYNC_VERSION,
} from "@openclaw/core/sync/message.ts";
import { FrameStream } from "@openclaw/edge-runtime/network/frame.ts";
import { createHost, type Host } from "@openclaw/edge-runtime/network/host.ts";
import { createIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";

/** A host as gateways have it, which answers every message with how many it heard. */
interface Peer extends Gateway {
  readonly host: Host;
  readonly heard: ChildMessage[];
}

let folder: string;
let peers: Peer[];
let connections: SiteConnection[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-connection-"));
  peers = [];
  connections = [];
});
afterEach(async () => {
  for (const connection of connections) await connection.close();
  for (const peer of peers) await peer.host.stop();
  await rm(folder, { recursive: true, force: true });
});

async function startPeer(node: string): Promise<Peer> {
  const identity = await createIdentity(join(folder, `${node}.key`));
  const host = await createHost({ identity, listen: ["/ip4/127.0.0.1/tcp/0/ws"], topics: [] });
  const heard: ChildMessage[] = [];
  await host.handle(SYNC_PROTOCOL, (stream) => {
    const frames = new FrameStream(stream);
    frames.receive({
      message: (payload) => {
        heard.push(decodeChildMessage(payload));
        frames.send(encodeParentMessage({ kind: "holds", upstream: revision(heard.length), upstreamEpoch: null }));
      },
      drained: () => undefined,
      closed: () => undefined,
    });
  });
  const peer = { peer: host.peerId.toString(), addresses: host.getMultiaddrs().map(String), host, heard };
  peers.push(peer);
  return peer;
}

/** As a caller sees it. */
interface Site {
  readonly gateway: string | null;
  connect(ended?: OpenClawError | null, caller?: string): Promise<ChildConnection>;
  drop(): Promise<void>;
}

function siteOf(...gateways: readonly Gateway[]): Site {
  const connection = new SiteConnection(gateways);
  connections.push(connection);
  return {
    get gateway() {
      return connection.gateway;
    },
    connect: async (ended = null, caller = "a tab") => childConnection(await connection.connect(caller, ended)),
    drop: async () => connection.drop(new OpenClawError("UNAVAILABLE", "this device is offline")),
  };
}

const link = "a".repeat(32);
if (!isLinkId(link)) throw new Error("not a link");
const hello: ChildMessage = {
  kind: "hello",
  version: SYNC_VERSION,
  link,
  child: { kind: "client", token: null },
  down: null,
};

/** What came, in order, and how it ended. */
function listen(connection: ChildConnection): { next(): Promise<ParentMessage>; closed: Promise<Error | null> } {
  const messages: ParentMessage[] = [];
  let wake: () => void = () => undefined;
  const closed = new Promise<Error | null>((resolve) => {
    connection.receive({
      message: (message) => {
        messages.push(message);
        wake();
      },
      drained: () => undefined,
      closed: resolve,
    });
  });
  return {
    closed,
    next: async () => {
      for (;;) {
        const message = messages.shift();
        if (message !== undefined) return message;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

test("a gateway is dialled over WebSocket and messages go both ways", async () => {
  const peer = await startPeer("california-1");
  const connection = await siteOf(peer).connect();
  const { next } = listen(connection);
  connection.send(hello);
  expect(await next()).toEqual({ kind: "holds", upstream: 1, upstreamEpoch: null });
  expect(peer.heard).toEqual([hello]);
});

test("a dead gateway is passed over, and a site with none left is UNAVAILABLE", async () => {
  const [dead, alive] = [await startPeer("california-1"), await startPeer("california-2")];
  await dead.host.stop();
  const site = siteOf(dead, alive);
  for (let i = 0; i < 4; i++) {
    (await site.connect()).close();
    expect(site.gateway).toBe(alive.peer);
  }
  await alive.host.stop();
  await expect(site.connect()).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

test("a gateway of which one address swallows what it is sent is reached at another one", async () => {
  const silent = createServer(() => undefined);
  await once(silent.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void silent.close());
  const { port } = silent.address() as AddressInfo;
  const { peer, addresses } = await startPeer("california-1");
  const site = siteOf({ peer, addresses: [`/ip4/127.0.0.1/tcp/${port}/ws/p2p/${peer}`, ...addresses] });
  const connection = await site.connect();
  const { next } = listen(connection);
  connection.send(hello);
  expect(await next()).toMatchObject({ kind: "holds" });
});

test("when its gateway dies the stream ends, and the next connect finds another", async () => {
  const gateways = [await startPeer("california-1"), await startPeer("california-2")];
  const site = siteOf(...gateways);
  const { closed } = listen(await site.connect());
  const first = gateways.find((peer) => peer.peer === site.gateway);
  await first?.host.stop();
  await closed;
  await site.connect();
  expect(site.gateway).not.toBe(first?.peer);
});

test("a gateway that answers but ended the last connection is not asked first again", async () => {
  const site = siteOf(await startPeer("california-1"), await startPeer("california-2"));
  await site.connect();
  const first = site.gateway;
  await site.connect(null);
  expect(site.gateway).toBe(first);
  await site.connect(new OpenClawError("UNAVAILABLE", "no majority"));
  expect(site.gateway).not.toBe(first);
});

test("every session of a device has a stream of its own on one connection, dialled once", async () => {
  const [dead, alive] = [await startPeer("california-1"), await startPeer("california-2")];
  await dead.host.stop();
  const site = siteOf(dead, alive);
  const streams = await Promise.all(["a", "b", "c", "d"].map((tab) => site.connect(null, tab)));
  for (const stream of streams) {
    const { next } = listen(stream);
    stream.send(hello);
    expect(await next()).toMatchObject({ kind: "holds" });
  }
  expect(alive.host.getConnections()).toHaveLength(1);
});

test("when their gateway dies, all go to one other, and none of them ends the others' streams there", async () => {
  const gateways = await Promise.all(["1", "2", "3"].map((node) => startPeer(`california-${node}`)));
  const site = siteOf(...gateways);
  const tabs = ["a", "b", "c", "d"];
  const before = await Promise.all(tabs.map(async (tab) => listen(await site.connect(null, tab))));
  const first = site.gateway;
  await gateways.find(({ peer }) => peer === first)?.host.stop();
  await Promise.all(before.map(({ closed }) => closed));
  const streams = [];
  for (const tab of tabs) streams.push(await site.connect(new OpenClawError("UNAVAILABLE", "the stream ended"), tab));
  expect(site.gateway).not.toBe(first);
  const second = gateways.find(({ peer }) => peer === site.gateway);
  expect(second?.host.getConnections()).toHaveLength(1);
  for (const stream of streams) {
    const { next, closed } = listen(stream);
    stream.send(hello);
    expect(await Promise.race([next(), closed])).toMatchObject({ kind: "holds" });
  }
});

test("who alone is refused moves nobody else; a gateway that answers and cannot serve is left by all", async () => {
  const site = siteOf(await startPeer("california-1"), await startPeer("california-2"));
  const [one, other] = [listen(await site.connect(null, "one")), await site.connect(null, "other")];
  const first = site.gateway;
  const heard = listen(other);
  (await site.connect(new OpenClawError("UNAUTHENTICATED"), "one")).close();
  expect(site.gateway).toBe(first);
  other.send(hello);
  expect(await heard.next()).toMatchObject({ kind: "holds" });
  await site.connect(new OpenClawError("UNAVAILABLE", "no majority"), "one");
  expect(site.gateway).not.toBe(first);
  expect(await heard.closed).toMatchObject({ code: "UNAVAILABLE" });
  expect(await one.closed).toMatchObject({ code: "UNAVAILABLE" });
});

test("X1: one more stream than a gateway takes is refused", async () => {
  const site = siteOf(await startPeer("california-1"));
  for (let i = 0; i < 32; i++) await site.connect(null, `tab ${i}`);
  await expect(site.connect(null, "one more")).rejects.toMatchObject({ code: "OVERLOADED" });
});

test("X1: a gateway that says goodbye and keeps the socket is left with none once another is dialled", async () => {
  const gateways = [await startPeer("california-1"), await startPeer("california-2")];
  const site = siteOf(...gateways);
  const { closed } = listen(await site.connect());
  const first = gateways.find(({ peer }) => peer === site.gateway);
  const [connection] = first?.host.getConnections() ?? [];
  // What libp2p has of it, and does not name.
  const { muxer } = connection as unknown as { readonly muxer: { sendGoAway(): void } };
  muxer.sendGoAway();
  await closed;
  await site.connect(new OpenClawError("UNAVAILABLE", "the stream ended"));
  expect(site.gateway).not.toBe(first?.peer);
  await expect.poll(() => connection?.status).toBe("closed");
});

test("going offline cuts the stream at once, and later a new one can be had", async () => {
  const peer = await startPeer("california-1");
  const site = siteOf(peer);
  const { closed } = listen(await site.connect());
  await site.drop();
  expect(await closed).toMatchObject({ code: "UNAVAILABLE" });
  const again = await site.connect();
  const { next } = listen(again);
  again.send(hello);
  expect(await next()).toMatchObject({ kind: "holds" });
});

test("a large message arrives whole", async () => {
  const peer = await startPeer("california-1");
  const connection = await siteOf(peer).connect();
  const { next } = listen(connection);
  const value = crypto.getRandomValues(new Uint8Array(65_536));
  const commands = Array.from({ length: 40 }, () => ({ kind: "put", key: value.slice(0, 9), value }) as const);
  const push = { kind: "pushCommands", from: 1, lowWater: 1, commands } as unknown as ChildMessage;
  connection.send(push);
  await next();
  expect(peer.heard).toEqual([push]);
});
