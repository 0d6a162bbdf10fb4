/** A member of a cluster of three in its folder, as a process that ended leaves it, and the same cluster in memory. */
import path from "node:path";
import { concatBytes } from "@openclaw/core/bytes.ts";
import type { Mirror } from "@openclaw/core/history/history-query.ts";
import { encodeMirror } from "@openclaw/core/history/mirror-codec.ts";
import { index, revision, term } from "@openclaw/core/ids.ts";
import { leafHash } from "@openclaw/core/ledger/chain.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import type { SystemCommand, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { frameOf } from "@openclaw/edge-runtime/backup/record-frames.ts";
import { loadConfig, type NodeConfig } from "@openclaw/edge-runtime/config.ts";
import { initCluster } from "@openclaw/edge-runtime/init.ts";
import { MirrorSource } from "@openclaw/edge-runtime/rebuild/mirror-source.ts";
import { openSurvivor, type Survivor } from "@openclaw/edge-runtime/rescue/survivor.ts";
import { SegmentLogStore } from "@openclaw/edge-runtime/storage/log-store.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { onTestFinished } from "vitest";
import { header, linkId, OneCluster, sha256 } from "../state-machine/one-cluster.ts";
import { temporaryFolder } from "../storage/storage-fixture.ts";

/** Small, so that a rescue reads several. */
const PAGE_BYTES = 300;
const PORTS = [18_201, 18_202, 18_203];

export const entryOf = (at: number, command: UserCommand | SystemCommand, of = 1): Entry => ({
  term: term(of),
  index: index(at),
  kind: "commands",
  stamp: 0,
  data: encodeCommands([{ header: header(at), ...command }]),
});

export interface Member {
  /** The cluster's folder. */
  readonly directory: string;
  readonly file: string;
  readonly config: NodeConfig;
  /** Nothing was applied in it yet. */
  cluster(): OneCluster;
}

export async function memberOf(cluster: string, tokens = false): Promise<Member> {
  const directory = path.join(temporaryFolder(), cluster);
  const ports = {
    httpPorts: PORTS,
    p2pPorts: PORTS.map((port) => port + 1_000),
    wsPorts: PORTS.map((port) => port + 2_000),
  };
  const { nodes } = await initCluster({ directory, cluster, nodes: 3, host: "127.0.0.1", tokens, ...ports });
  const file = nodes[0]?.config ?? "";
  const config = await loadConfig(file);
  return { directory, file, config, cluster: () => new OneCluster(cluster, config.epoch) };
}

/** What the process leaves. */
export async function leaves(
  { config }: Member,
  { applied, log }: { readonly applied: readonly Entry[]; readonly log: readonly Entry[] },
): Promise<void> {
  const { dataDir, cluster, node, epoch } = config;
  const voters = founding(config.members.map((member) => member.node));
  const state = new SqliteStateStore({ dataDir, cluster, node, epoch, membership: voters });
  await state.open();
  await state.apply(applied);
  await state.close();
  const store = new SegmentLogStore({ dataDir, cluster, node });
  await store.open();
  await store.append({ term: term(9), vote: null, commit: index(0) }, log);
  await store.close();
}

export async function survivorOf({ file }: Member): Promise<Survivor> {
  const survivor = await openSurvivor(file);
  onTestFinished(() => survivor.close());
  return survivor;
}

export function parentOf(
  hub: OneCluster,
  site: OneCluster,
  asked: (mirror: Mirror) => Mirror = (mirror) => mirror,
): MirrorSource {
  const call = async ({ path: url }: { path: string }) => {
    const from = revision(Number(new URL(url, "http://hub").searchParams.get("from")));
    const mirror = asked(hub.history({ kind: "mirror", link: linkId(site.cluster), from, bytes: PAGE_BYTES }));
    return { body: concatBytes(encodeMirror(mirror).map(frameOf)), headers: {} };
  };
  return new MirrorSource({ call }, site.cluster);
}

/** Ships all, those revisions as private. */
export function ship(site: OneCluster, hub: OneCluster, ...stubs: readonly number[]): void {
  const cursor = hub.query({ kind: "link", link: linkId(site.cluster) }).link?.cursor ?? 0;
  const items = selectForParent(site.ledger.slice(cursor), hub.cluster, sha256).map(
    (item): LinkItem =>
      item.kind === "body" && stubs.includes(item.revision)
        ? { kind: "stub", revision: item.revision, leaf: leafHash(sha256, item.record), reason: "private" }
        : item,
  );
  const result = hub.import(site, items);
  if (result.kind !== "imported") throw new Error(result.kind);
}
