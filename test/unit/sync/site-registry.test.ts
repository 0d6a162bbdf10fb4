/** Who is let in by a hub: tokens, keys and rows, without a network. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, type Epoch, type NodeId, PARTITION } from "@openclaw/core/ids.ts";
import type { SystemCommand } from "@openclaw/core/state-machine/command.ts";
import type { Query } from "@openclaw/core/state-machine/query.ts";
import { createCredential } from "@openclaw/edge-runtime/network/credential.ts";
import { createEnrolment, createGrant } from "@openclaw/edge-runtime/network/enrolment.ts";
import { ClusterKey, OneTimeKey } from "@openclaw/edge-runtime/network/identity.ts";
import { encodeSiteCredential } from "@openclaw/edge-runtime/network/site-credential.ts";
import { SiteRegistry } from "@openclaw/edge-runtime/sync/site-registry.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { VirtualClock } from "../../simulation/virtual-clock.ts";
import { clusterId, epoch, OneCluster } from "../state-machine/one-cluster.ts";
import { codeOf } from "./code-of.ts";

let folder: string;
let hubKey: ClusterKey;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-registry-"));
  hubKey = await ClusterKey.create(join(folder, "hub"));
});
afterEach(() => rm(folder, { recursive: true }));

const PEER = "12D3KooWGzBNFHtPEwQ7mAsjQ3bUMCjSsiv2Qu1Y3QXrJ9RZzZzZ";

/** A hub's replica that commits at once, and the registry of one of its nodes. */
async function opened(hub = new OneCluster("hub"), of: Epoch = epoch("a")) {
  const proposed: SystemCommand[] = [];
  const said: string[] = [];
  const clock = new VirtualClock();
  const state = { answers: true };
  let changed = (): void => {};
  const registry = await SiteRegistry.open({
    replica: {
      read: async <Q extends Query>(question: Q) => {
        if (!state.answers) throw new OpenClawError("DIVERGED");
        return hub.query(question);
      },
      onRows: (_, listener) => {
        changed = listener;
        return () => {};
      },
      propose: async (command) => {
        proposed.push(command);
        const result = hub.system(command);
        changed();
        return result;
      },
    },
    cluster: hub.cluster,
    node: "hub-1" as NodeId,
    epoch: of,
    clusterKey: hubKey.publicKey,
    clock,
    log: { info: (_, text) => void said.push(text), warn: () => {} },
  });
  return { hub, registry, proposed, state, clock, said };
}

interface Granted {
  readonly approved?: boolean;
  readonly site?: ClusterId | null;
  readonly by?: ClusterKey;
}

const granted = async ({ approved = true, site = null, by = hubKey }: Granted = {}) => {
  const key = await OneTimeKey.draw();
  const cluster = clusterId("hub");
  return { key, grant: createGrant({ cluster, epochCounter: 1, site, approved, key: key.publicKey.hex }, by) };
};

/** What a node of a site shows. */
async function site(name: string, { key, grant }: Awaited<ReturnType<typeof granted>>, own?: ClusterKey) {
  const cluster = clusterId(name);
  const clusterKey = own ?? (await ClusterKey.create(join(folder, `${name}-${Math.random()}`)));
  const enrolment = createEnrolment(grant, { cluster, clusterKey: clusterKey.publicKey.hex }, key);
  const node = `${name}-1` as NodeId;
  const credential = createCredential({ cluster, partition: PARTITION, node, peer: PEER }, clusterKey);
  return {
    cluster,
    epoch: epoch("b"),
    credential: encodeSiteCredential({ credential, enrolment }),
    remotePeer: PEER,
    clusterKey,
  };
}

test("F1: a site with a token that says so is in, and coming again proposes nothing", async () => {
  const { registry, proposed } = await opened();
  const shop = await site("shop", await granted());
  expect(await registry.admit(shop)).toBe("shop-1");
  expect(await registry.admit(shop)).toBe("shop-1");
  expect(proposed).toHaveLength(1);
  expect(registry.keyOf(shop.cluster)?.hex).toBe(shop.clusterKey.publicKey.hex);
});

test("F1: one that waits is told so, costs one proposal however often it asks, and is in once it is approved", async () => {
  const { registry, proposed } = await opened();
  const shop = await site("shop", await granted({ approved: false }));
  for (let i = 0; i < 5; i++) expect(await codeOf(registry.admit(shop))).toBe("SITE_PENDING");
  expect(proposed).toHaveLength(1);
  expect(registry.keyOf(shop.cluster)).toBeNull();
  await registry.decide(shop.cluster, "approved", "ada");
  expect(await registry.admit(shop)).toBe("shop-1");
  await registry.decide(shop.cluster, "revoked", "ada");
  expect(await codeOf(registry.admit(shop))).toBe("SITE_REVOKED");
  expect(registry.refusal(shop.cluster)?.code).toBe("SITE_REVOKED");
});

test("F1: a used token is refused without a proposal, and so is another's name", async () => {
  const { registry, proposed } = await opened();
  const token = await granted();
  await registry.admit(await site("shop", token));
  expect(await codeOf(registry.admit(await site("till", token)))).toBe("TOKEN_USED");
  expect(await codeOf(registry.admit(await site("shop", await granted())))).toBe("NOT_ADMITTED");
  expect(proposed).toHaveLength(1);
});

test("F1: what the hub's key did not sign, or for another name, is refused", async () => {
  const { registry, proposed } = await opened();
  const other = await ClusterKey.create(join(folder, "other"));
  expect(await codeOf(registry.admit(await site("shop", await granted({ by: other }))))).toBe("NOT_ADMITTED");
  // A grant for one name, used for another by somebody who signs what he likes.
  const { key, grant } = await granted({ site: clusterId("till") });
  await expect(site("shop", { key, grant })).rejects.toMatchObject({ code: "WRONG_CLUSTER" });
  const forged = await site("shop", { key, grant: { ...grant, site: null } });
  expect(await codeOf(registry.admit(forged))).toBe("NOT_ADMITTED");
  // Another peer with the site's credential.
  const shop = await site("shop", await granted());
  expect(await codeOf(registry.admit({ ...shop, remotePeer: "12D3KooWother" }))).toBe("NOT_ADMITTED");
  expect(proposed).toHaveLength(0);
});

test("F1: in a later epoch of the hub, which has forgotten whom it revoked, an earlier token lets nobody in by itself", async () => {
  const { registry } = await opened(new OneCluster("hub"), epoch("c", 2));
  const shop = await site("shop", await granted());
  expect(await codeOf(registry.admit(shop))).toBe("SITE_PENDING");
});

test("F1: what another node of the hub decided is known as soon as it is applied", async () => {
  const { hub, registry } = await opened();
  const shop = await site("shop", await granted());
  await registry.admit(shop);
  const seen: (string | undefined)[] = [];
  registry.follow(() => seen.push(registry.find(shop.cluster)?.state));
  hub.system({ kind: "decideSite", cluster: shop.cluster, decision: "revoked" });
  await registry.refresh();
  expect(seen).toEqual(["revoked"]);
});

test("F1: while the rows cannot be read a site is told to try again, and the log once", async () => {
  const { registry, state, clock, said } = await opened();
  const shop = await site("shop", await granted());
  state.answers = false;
  expect(await codeOf(registry.admit(shop))).toBe("UNAVAILABLE");
  const second = async (): Promise<void> => {
    clock.step(clock.now() + 1_000);
    await new Promise<void>((resolve) => setImmediate(resolve));
  };
  for (let i = 0; i < 10; i++) await second();
  expect(said.filter((text) => text.includes("could not be read"))).toHaveLength(1);
  state.answers = true;
  await second();
  await second();
  expect(await registry.admit(shop)).toBe("shop-1");
  await registry.stop();
});
