import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dialTarget, isLoopback, requireLoopback } from "@openclaw/edge-runtime/network/address.ts";
import { createHost, type Host } from "@openclaw/edge-runtime/network/host.ts";
import { createIdentity, type NodeIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

let folder: string;
const hosts: Host[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-host-"));
});
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.stop();
  await rm(folder, { recursive: true, force: true });
});

let drawn = 0;
const identity = (): Promise<NodeIdentity> => createIdentity(join(folder, `${drawn++}.key`));

async function host(...listen: string[]): Promise<Host> {
  const started = await createHost({ identity: await identity(), listen, topics: [] });
  hosts.push(started);
  return started;
}

test("nodes meet over TCP and over WebSocket, each proving its peer id", async () => {
  const a = await host("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws");
  const addresses = a.getMultiaddrs().map(String);
  expect(addresses.some((address) => address.includes("/ws"))).toBe(true);
  for (const address of addresses) {
    const b = await host();
    const connection = await b.dial(dialTarget({ peer: a.peerId.toString(), addresses: [address] }));
    expect(connection.remotePeer.equals(a.peerId)).toBe(true);
    expect(await b.services.ping.ping(a.peerId)).toBeGreaterThanOrEqual(0);
  }
});

test("a known address is dialled at start", async () => {
  const a = await host("/ip4/127.0.0.1/tcp/0");
  const bootstrap = a.getMultiaddrs().map(String);
  const b = await createHost({ identity: await identity(), listen: [], topics: [], bootstrap });
  hosts.push(b);
  await vi.waitFor(() => expect(b.getConnections(a.peerId)).toHaveLength(1), { timeout: 10_000, interval: 10 });
});

test("a peer that is not who the address says is refused", async () => {
  const a = await host("/ip4/127.0.0.1/tcp/0");
  const b = await host();
  const [address] = a.getMultiaddrs().map((listening) => String(listening).replace(/\/p2p\/.*/, ""));
  const somebody = await identity();
  await expect(b.dial(dialTarget({ peer: somebody.peer, addresses: [address ?? ""] }))).rejects.toThrow();
});

test.each(["", "/ws"])("a port in use is PORT_IN_USE and names the address (tcp%s)", async (suffix) => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const taken = `/ip4/127.0.0.1/tcp/${port}${suffix}`;
  const attempt = createHost({ identity: await identity(), listen: ["/ip4/127.0.0.1/tcp/0", taken], topics: [] });
  await expect(attempt).rejects.toMatchObject({ code: "PORT_IN_USE", details: taken });
  await new Promise((done) => server.close(done));
});

test("an address that is none, or that this machine has not, is CONFIG_INVALID", async () => {
  const start = async (address: string) => createHost({ identity: await identity(), listen: [address], topics: [] });
  await expect(start("127.0.0.1:80")).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  await expect(start("/ip4/192.0.2.1/tcp/0")).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    details: expect.stringContaining("/ip4/192.0.2.1/tcp/0"),
  });
});

test("X2: only loopback addresses are loopback", () => {
  for (const address of [
    "/ip4/127.0.0.1/tcp/1",
    "/ip4/127.8.0.1/tcp/1/ws",
    "/ip6/::1/tcp/1",
    "/dns4/localhost/tcp/1",
  ]) {
    expect(isLoopback(address), address).toBe(true);
  }
  for (const address of ["/ip4/0.0.0.0/tcp/1", "/ip4/192.168.1.2/tcp/1", "/ip6/::/tcp/1", "/dns4/gateway/tcp/1"]) {
    expect(isLoopback(address), address).toBe(false);
  }
  expect(() => requireLoopback(["/ip4/127.0.0.1/tcp/1", "/ip4/0.0.0.0/tcp/1"])).toThrow(/0\.0\.0\.0/);
});
