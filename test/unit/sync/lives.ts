/** A site and its hub, for tests of the lives that either has (L3). */
import { utf8 } from "@openclaw/core/bytes.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { carryOutChange, planResolution } from "@openclaw/core/sync/life-change.ts";
import { sha256 } from "../state-machine/one-cluster.ts";
import { linkId, type TestCluster, World } from "./world.ts";

export const put = (cluster: TestCluster, key: string, value = "v") =>
  cluster.execute({ kind: "put", key: utf8(key), value: utf8(value) });

export const rowsOf = async (cluster: TestCluster, origin: ClusterId | null): Promise<Record<string, string>> => {
  const { rows } = await cluster.read({ kind: "range", origin, ...plainRange(utf8(""), null, 10_000) });
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return Object.fromEntries(rows.map(({ key, value }) => [text(key), text(value)]));
};

interface Fleet {
  readonly world: World;
  readonly hub: TestCluster;
  readonly site: TestCluster;
}

/** A site whose hub has its first `shipped` revisions, and which has three more. */
export async function fleet(shipped = 5, more = 3): Promise<Fleet> {
  const world = new World();
  const hub = await world.cluster("hub");
  const site = await world.cluster("california");
  world.uplink(site, hub, { prefixes: [utf8("")] });
  for (let i = 1; i <= shipped; i++) await put(site, `k${i}`, `shipped ${i}`);
  await world.elapse(1_000);
  await site.uplink?.stop();
  for (let i = 1; i <= more; i++) await put(site, `n${i}`, `own ${i}`);
  await world.flush();
  return { world, hub, site };
}

export const cursorOf = async (hub: TestCluster): Promise<number> =>
  (await hub.read({ kind: "link", link: linkId("california") })).link?.cursor ?? 0;

export const errorOf = (cluster: TestCluster) => cluster.uplink?.status().lastError ?? null;

export const resolve = async (hub: TestCluster, choice: string | null = null) => {
  const [site] = [...hub.children];
  if (site === undefined) throw new Error("no site");
  const plan = await planResolution(hub, sha256, site, choice);
  await carryOutChange((command) => hub.propose(command, { principal: "operator" }), plan, null);
  return plan;
};
