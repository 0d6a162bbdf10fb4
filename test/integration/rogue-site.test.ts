/**
 * What a site may try against a real hub: another's name, a used token, rewritten revisions, floods, garbage, bombs. Each is
 * told a code, counted and logged, and a site beside it goes on shipping.
 */
import fs from "node:fs/promises";
import path from "node:path";
import { multiaddr } from "@multiformats/multiaddr";
import { utf8 } from "@openclaw/core/bytes.ts";
import { type ClusterId, type Epoch, linkOfCluster, type NodeId, PARTITION, revision } from "@openclaw/core/ids.ts";
import { decodeParentMessage, encodeChildMessage } from "@openclaw/core/sync/codec.ts";
import { type ChildMessage, type ParentMessage, SYNC_VERSION } from "@openclaw/core/sync/message.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { type ClusterPlan, initCluster, KEY_FILE } from "@openclaw/edge-runtime/init.ts";
import { createCredential, loadCredential } from "@openclaw/edge-runtime/network/credential.ts";
import { createHost, type Host } from "@openclaw/edge-runtime/network/host.ts";
import { ClusterKey, ClusterPublicKey, loadIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import { encodeSiteCredential } from "@openclaw/edge-runtime/network/site-credential.ts";
import { dialSync, SYNC_PROTOCOL } from "@openclaw/edge-runtime/network/sync-streams.ts";
import { expect, onTestFinished, test } from "vitest";
import { LightSite } from "../fleet/light-site.ts";
import { temporaryFolder } from "./site.ts";
import { ask, startTier, type Tier, tokenOf } from "./tiers.ts";

const nothing = { collections: [], prefixes: [], mirrors: false };
const genesis = new Uint8Array(32);

/** Everything that a node of a site has, to do as it pleases with. */
interface Rogue {
  readonly cluster: ClusterId;
  readonly epoch: Epoch;
  readonly host: Host;
  readonly credential: Uint8Array;
  readonly enrolment: Uint8Array;
}

async function madeSite(cluster: string, parent: NonNullable<ClusterPlan["parent"]>): Promise<string> {
  const directory = path.join(await temporaryFolder(), cluster);
  const ports = { httpPorts: [0], p2pPorts: [0], wsPorts: [0] };
  const { nodes } = await initCluster({ directory, cluster, nodes: 1, host: "127.0.0.1", ...ports, parent });
  return nodes[0]?.config ?? "";
}

async function rogueOf(file: string): Promise<Rogue> {
  const config = await loadConfig(file);
  const identity = await loadIdentity(config.identity);
  const host = await createHost({ identity, listen: [], topics: [] });
  onTestFinished(async () => void (await host.stop()));
  const { cluster, epoch } = config;
  const admission = { cluster, clusterKey: new ClusterPublicKey(config.clusterKey), remotePeer: identity.peer };
  const credential = await loadCredential(config.credential, admission);
  return { cluster, epoch, host, credential, enrolment: Buffer.from(config.parent?.enrolment ?? "", "base64url") };
}

const helloOf = (
  rogue: Rogue,
  claims: Partial<Pick<Rogue, "cluster" | "credential" | "enrolment">> = {},
): Extract<ChildMessage, { kind: "hello" }> => {
  const { cluster, epoch, credential, enrolment } = { ...rogue, ...claims };
  return {
    kind: "hello",
    version: SYNC_VERSION,
    link: linkOfCluster(cluster),
    child: {
      kind: "site",
      cluster,
      epoch,
      ancestors: [],
      revision: revision(9),
      credential: encodeSiteCredential({ credential, enrolment }),
    },
    down: null,
  };
};

/**
 * Sends a frame, and once it is let in the others, all at once; tells what the hub says to the last of them, or the code
 * with which it ends the stream.
 */
async function ends(rogue: Rogue, hub: Tier, [first, ...others]: readonly Uint8Array[]): Promise<string> {
  const stream = await dialSync(rogue.host, hub.nodes[0]?.addresses.slice(0, 1) ?? [], AbortSignal.timeout(60_000));
  return new Promise((resolve) => {
    let code = "closed";
    let answers = 0;
    stream.receive({
      message: (frame) => {
        const message: ParentMessage = decodeParentMessage(frame);
        if (message.kind === "welcome") for (const other of others) stream.send(other);
        if (message.kind === "goodbye") code = message.code;
        if (message.kind === "refused" || message.kind === "pushed") answers++;
        if (answers === others.length && answers > 0) resolve(message.kind === "refused" ? message.code : message.kind);
      },
      drained: () => undefined,
      closed: () => resolve(code),
    });
    if (first !== undefined) stream.send(first);
  });
}

test("F1, X1, R10: a rogue site is refused with a code, counted and logged, and the rest is unharmed", async () => {
  const hub = await startTier({ cluster: "hub", kind: "hub" });
  const honestFile = await madeSite("honest", { token: await tokenOf(hub), subscribe: nothing });
  const honest = await LightSite.start(honestFile, (error) => {
    throw error;
  });
  onTestFinished(() => honest.stop());
  const rogueFile = await madeSite("rogue", { token: await tokenOf(hub), subscribe: nothing });
  const rogue = await rogueOf(rogueFile);
  const shipped = async (value: string): Promise<void> => {
    await honest.put("till/1", value);
    await expect
      .poll(async () => (await ask(hub.http, "GET", "/v1/kv/till/1?origin=honest")).body, { timeout: 60_000 })
      .toBe(value);
  };
  await shipped("0");
  const hello = encodeChildMessage(helloOf(rogue));
  const push = (hash: Uint8Array, from: number): Uint8Array =>
    encodeChildMessage({
      kind: "pushLedger",
      items: [{ kind: "skip", from: revision(from), to: revision(from), hash }],
      hash,
      after: null,
    });

  // Another's name: with its own credential, and with one that it signed itself for a node of that site.
  const name = { cluster: "honest" as ClusterId };
  expect(await ends(rogue, hub, [encodeChildMessage(helloOf(rogue, name))])).toBe("WRONG_CLUSTER");
  const key = await ClusterKey.load(path.join(path.dirname(path.dirname(rogueFile)), KEY_FILE));
  const claim = { ...name, partition: PARTITION, node: "honest-1" as NodeId, peer: rogue.host.peerId.toString() };
  const forged = { ...name, credential: createCredential(claim, key) };
  expect(await ends(rogue, hub, [encodeChildMessage(helloOf(rogue, forged))])).toBe("NOT_ADMITTED");
  const stranger = { cluster: "stranger" as ClusterId, enrolment: utf8("no token") };
  expect(await ends(rogue, hub, [encodeChildMessage(helloOf(rogue, stranger))])).toBe("NOT_ADMITTED");
  const bare = {
    ...helloOf(rogue),
    child: { ...helloOf(rogue).child, credential: utf8("x") },
  };
  expect(await ends(rogue, hub, [encodeChildMessage(bare)])).toBe("NOT_ADMITTED");
  // Of another hub.
  const elsewhere = await startTier({ cluster: "elsewhere", kind: "hub" });
  const foreign = await rogueOf(await madeSite("foreign", { token: await tokenOf(elsewhere), subscribe: nothing }));
  expect(await ends(foreign, hub, [encodeChildMessage(helloOf(foreign))])).toBe("WRONG_CLUSTER");
  await Promise.all(elsewhere.nodes.map(({ process }) => process.kill()));
  await shipped("1");

  // Garbage, before and after it is let in; nesting and lengths that no memory holds.
  const garbage = Uint8Array.from({ length: 200 }, (_, i) => (i * 97) % 256);
  expect(await ends(rogue, hub, [garbage])).toBe("MALFORMED_FRAME");
  expect(await ends(rogue, hub, [hello, garbage])).toBe("MALFORMED_FRAME");
  const deep = new Uint8Array(100_000).fill(0x91);
  expect(await ends(rogue, hub, [hello, deep])).toBe("MALFORMED_FRAME");
  const long = Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff);
  expect(await ends(rogue, hub, [hello, long])).toBe("MALFORMED_FRAME");
  expect(await bombed(rogue, hub)).toBe("closed");
  await shipped("2");

  // A gap is how a sender learns where it is; another ledger under a revision is none of ours.
  expect(await ends(rogue, hub, [hello, push(genesis, 7)])).toBe("GAP");
  expect(await ends(rogue, hub, [hello, push(new Uint8Array(32).fill(1), 1)])).toBe("pushed");
  expect(await ends(rogue, hub, [hello, push(new Uint8Array(32).fill(2), 1)])).toBe("FORK");
  // More pushes than may be under way, and more streams than a connection may have.
  // Many more: on a busy machine some are answered before the last have come.
  const flood = Array.from({ length: 400 }, () => push(new Uint8Array(32).fill(1), 1));
  expect(await ends(rogue, hub, [hello, ...flood])).toBe("OVERLOADED");
  await Promise.allSettled(Array.from({ length: 200 }, () => ends(rogue, hub, [garbage])));
  await shipped("3");

  const sites: { cluster: string; state: string; refused: { count: number } | null }[] = (
    await ask(hub.http, "GET", "/v1/sites")
  ).body;
  const refusals = Object.fromEntries(
    sites.map(({ cluster, state, refused }) => [cluster, [state, refused?.count ?? 0]]),
  );
  expect(refusals).toMatchObject({
    honest: ["approved", 2],
    rogue: ["approved", expect.any(Number)],
    stranger: ["unknown", 1],
    foreign: ["unknown", 1],
  });
  const metrics: string = (await ask(hub.http, "GET", "/metrics")).body;
  for (const code of ["NOT_ADMITTED", "WRONG_CLUSTER", "MALFORMED_FRAME", "FORK", "OVERLOADED"])
    expect(metrics).toMatch(new RegExp(`openclaw_children_refused\\{code="${code}"\\} [1-9]`));
  const log = await fs.readFile(hub.nodes[0]?.process.logFile ?? "", "utf8");
  for (const [site, code] of [
    ["honest", "NOT_ADMITTED"],
    ["foreign", "WRONG_CLUSTER"],
    ["rogue", "FORK"],
  ])
    expect(log).toMatch(new RegExp(`"child":"${site}","code":"${code}".*a child was refused`));
}, 500_000);

/** A frame whose length says that four gigabytes follow. */
async function bombed(rogue: Rogue, hub: Tier): Promise<string> {
  const stream = await rogue.host.dialProtocol(multiaddr(hub.nodes[0]?.addresses[0] ?? ""), SYNC_PROTOCOL);
  const closed = new Promise<string>((resolve) => {
    stream.addEventListener("close", () => resolve("closed"), { once: true });
  });
  stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1, 2, 3));
  return closed;
}
