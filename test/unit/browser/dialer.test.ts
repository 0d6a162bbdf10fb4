/** What a page's own way to a gateway has to keep of libp2p: who answers is proved, and a libp2p host finds a libp2p peer. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noise } from "@libp2p/noise";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { socketAddress } from "@openclaw/browser/connection/address.ts";
import { createDialer, type Dialer } from "@openclaw/browser/connection/dialer.ts";
import type { GatewayConnection } from "@openclaw/browser/connection/gateway-connection.ts";
import { createHost, type Host } from "@openclaw/edge-runtime/network/host.ts";
import { createIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import { createLibp2p, type Libp2p } from "libp2p";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WebSocketServer } from "ws";

const PROTOCOL = "/openclaw/test/1";
/** Of nobody here; the kind that has no key in it. */
const HASHED_PEER = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

let folder: string;
let gateway: Host;
let dialer: Dialer;
let ends: (() => unknown)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-dialer-"));
  ends = [];
  const identity = await createIdentity(join(folder, "california-1.key"));
  gateway = await createHost({ identity, listen: ["/ip4/127.0.0.1/tcp/0/ws"], topics: [] });
  await gateway.handle(PROTOCOL, echo);
  dialer = await createDialer();
});
afterEach(async () => {
  vi.unstubAllGlobals();
  for (const end of ends) await end();
  await gateway.stop();
  await rm(folder, { recursive: true, force: true });
});

const addressOf = (host: Pick<Libp2p, "getMultiaddrs">): string => String(host.getMultiaddrs()[0]);

async function dial(address = addressOf(gateway), signal = AbortSignal.timeout(10_000)): Promise<GatewayConnection> {
  const connection = await dialer.dial([address], () => undefined, signal);
  ends.push(() => connection.abort(new Error("the test is over")));
  return connection;
}

/** A libp2p host with nothing else: it asks nobody anything. */
async function startPlain(encrypter: ReturnType<typeof noise>): Promise<Libp2p> {
  const plain = await createLibp2p({
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0/ws"] },
    transports: [webSockets()],
    connectionEncrypters: [encrypter],
    streamMuxers: [yamux()],
  });
  ends.push(() => plain.stop());
  await plain.handle(PROTOCOL, echo);
  return plain;
}

interface EchoStream {
  addEventListener(
    type: "message",
    listener: (event: { readonly data: Parameters<EchoStream["send"]>[0] }) => void,
  ): void;
  send(data: Parameters<Awaited<ReturnType<GatewayConnection["newStream"]>>["send"]>[0]): boolean;
}
function echo(stream: EchoStream): void {
  stream.addEventListener("message", ({ data }) => void stream.send(data));
}

/** The gateway's end of the one connection, which it has a little later than the dialer. */
async function seenByGateway(): Promise<ReturnType<Host["getConnections"]>[number]> {
  await expect.poll(() => gateway.getConnections()).toHaveLength(1);
  const [seen] = gateway.getConnections();
  if (seen === undefined) throw new Error("the gateway has no connection");
  return seen;
}

/** Sends it and waits until as much came back. */
async function echoed(connection: GatewayConnection, sent: Uint8Array): Promise<Uint8Array> {
  const stream = await connection.newStream(PROTOCOL, AbortSignal.timeout(10_000));
  const received: Uint8Array[] = [];
  let length = 0;
  const done = new Promise<void>((resolve, reject) => {
    stream.addEventListener("message", ({ data }) => {
      for (const chunk of data instanceof Uint8Array ? [data] : data) {
        received.push(chunk);
        length += chunk.length;
      }
      if (length >= sent.length) resolve();
    });
    stream.addEventListener("close", ({ error }) => reject(error ?? new Error("closed")));
  });
  stream.send(sent);
  await done;
  return Buffer.concat(received);
}

test("bytes go both ways, more of them than any window and buffer on the way", async () => {
  const sent = Buffer.alloc(3_000_000, "all quiet at the gate ");
  expect(sent.equals(await echoed(await dial(), sent))).toBe(true);
});

test("who answers must be the peer that the address names, in whatever form it is named", async () => {
  const sockets: WebSocket[] = [];
  vi.stubGlobal(
    "WebSocket",
    class extends WebSocket {
      constructor(url: string) {
        super(url);
        sockets.push(this);
      }
    },
  );
  const other = await createIdentity(join(folder, "california-2.key"));
  const transport = addressOf(gateway).replace(/\/p2p\/.*/, "");
  for (const peer of [other.peer, HASHED_PEER])
    await expect(dial(`${transport}/p2p/${peer}`)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(sockets.map(({ readyState }) => readyState >= WebSocket.CLOSING)).toEqual([true, true]);
});

test("a gateway that has no such protocol says so, and the connection stands", async () => {
  const connection = await dial();
  await expect(connection.newStream("/openclaw/unheard/1", AbortSignal.timeout(10_000))).rejects.toMatchObject({
    name: "UnsupportedProtocolError",
  });
  expect(connection.isOpen).toBe(true);
  expect(await echoed(connection, Uint8Array.of(1))).toHaveLength(1);
});

test("a gateway that wants to know whether this side lives is answered, and any other question refused by name", async () => {
  const connection = await dial();
  const seen = await seenByGateway();
  expect(await gateway.services.ping.ping(seen.remotePeer)).toBeGreaterThanOrEqual(0);
  await expect(seen.newStream("/ipfs/id/1.0.0")).rejects.toMatchObject({ name: "UnsupportedProtocolError" });
  expect(connection.isOpen).toBe(true);
});

test("X1: a gateway opens eight streams at a time here, and one more is reset", async () => {
  const plain = await startPlain(noise());
  const connection = await dial(addressOf(plain));
  await expect.poll(() => plain.getConnections()).toHaveLength(1);
  const ping = () => plain.getConnections()[0]?.newStream("/ipfs/ping/1.0.0");
  const asked = await Promise.all(Array.from({ length: 8 }, ping));
  await expect(ping()).rejects.toThrow();
  await asked[0]?.close();
  await expect
    .poll(() =>
      ping()?.then(
        () => true,
        () => false,
      ),
    )
    .toBe(true);
  expect(connection.isOpen).toBe(true);
});

test("what was sent before the connection is closed arrives", async () => {
  const heard: number[] = [];
  await gateway.handle("/openclaw/note/1", (stream) => {
    stream.addEventListener("message", ({ data }) => heard.push(data.byteLength));
  });
  const connection = await dial();
  const stream = await connection.newStream("/openclaw/note/1", AbortSignal.timeout(10_000));
  // More than a window: the rest waits for the gateway to read.
  stream.send(new Uint8Array(2_000_000));
  await connection.close(AbortSignal.timeout(10_000));
  expect(connection.isOpen).toBe(false);
  await expect.poll(() => heard.reduce((sum, length) => sum + length, 0)).toBe(2_000_000);
  await expect.poll(() => gateway.getConnections()).toHaveLength(0);
});

test("an aborted connection is gone at the gateway, too", async () => {
  const connection = await dial();
  await seenByGateway();
  connection.abort(new Error("offline"));
  expect(connection.isOpen).toBe(false);
  await expect.poll(() => gateway.getConnections()).toHaveLength(0);
});

test("who answers a socket and says nothing is given up when the caller does, and its socket is closed", async () => {
  const mute = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  ends.push(() => mute.close());
  await once(mute, "listening");
  const address = mute.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const accepted = once(mute, "connection");
  const giveUp = new AbortController();
  const dialled = dial(`/ip4/127.0.0.1/tcp/${address.port}/ws/p2p/${gateway.peerId}`, giveUp.signal);
  dialled.catch(() => undefined);
  const [socket] = await accepted;
  const closed = once(socket, "close");
  giveUp.abort(new Error("enough"));
  await expect(dialled).rejects.toThrow("enough");
  await closed;
});

test("a gateway whose Noise does not speak of muxers is asked for one afterwards", async () => {
  const plain = await startPlain((components) => {
    const encrypter = noise()(components);
    return {
      protocol: encrypter.protocol,
      secureInbound: (stream, options) =>
        encrypter.secureInbound(stream, { ...options, skipStreamMuxerNegotiation: true }),
      secureOutbound: (stream, options) => encrypter.secureOutbound(stream, options),
    };
  });
  expect(await echoed(await dial(addressOf(plain)), Uint8Array.of(7))).toEqual(Buffer.of(7));
});

test.each([
  ["/ip4/127.0.0.1/tcp/9201/ws/p2p/12D3", "ws://127.0.0.1:9201/"],
  ["/ip6/::1/tcp/9201/ws/p2p/12D3", "ws://[::1]:9201/"],
  ["/dns4/edge-1.example/tcp/443/wss/p2p/12D3", "wss://edge-1.example:443/"],
  ["/dns/edge-1.example/tcp/443/tls/ws/p2p/12D3", "wss://edge-1.example:443/"],
  ["/ip4/10.0.0.1/tcp/443/tls/sni/edge-1.example/ws/p2p/12D3", "wss://edge-1.example:443/"],
])("%s is dialled at %s", (address, url) => {
  expect(socketAddress(address)).toEqual({ url, peer: "12D3" });
});

test.each([
  "/ip4/127.0.0.1/tcp/9201/ws",
  "/ip4/127.0.0.1/tcp/9101/p2p/12D3",
  "/ip4/127.0.0.1/udp/9201/quic-v1/webtransport/p2p/12D3",
  "/dns4/user:secret@edge-1.example/tcp/443/wss/p2p/12D3",
  "/dns4/edge-1.example?x/tcp/443/wss/p2p/12D3",
  "/ip4/127.0.0.1/tcp/9201/ws/p2p/12D3/p2p-circuit/p2p/12D4",
  "wss://edge-1.example",
])("%s is no address that a browser can dial", (address) => {
  expect(() => socketAddress(address)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
});
