/** One run: a cluster, or a site and its hub; clients, faults for a while, then peace and the verdict. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Operation } from "../history/history.ts";
import type { RealCluster } from "./cluster.ts";
import { catalogue } from "./faults/catalogue.ts";
import type { Fault, MissingFault } from "./faults/fault.ts";
import { uplinkFaults } from "./faults/uplink.ts";
import { Hierarchy, type MirrorFigures } from "./hierarchy.ts";
import { layOutNamespaces } from "./namespaces.ts";
import { type Band, Nemesis, type Pace } from "./nemesis.ts";
import type { Observations } from "./observations.ts";
import { type Figures, type Judged, Siege } from "./siege.ts";
import { SmallDisk } from "./small-disk.ts";
import { layOutTiers, loadOf, type Tiers } from "./tiers.ts";

const PROGRESS_MS = 10_000;
/** A site knows its parent's nodes by their keys, from its configuration: of those that come later it hears nothing. */
const NOT_AT_A_HUB: readonly string[] = ["replace-member", "rejoin-member"];

export interface RunOptions {
  readonly folder: string;
  /** 2: a site and its hub. */
  readonly tiers: 1 | 2;
  /** Of each tier. */
  readonly nodes: number;
  readonly durationMs: number;
  readonly seed: number;
  readonly pace: Pace;
  /** Null, or why all nodes share this machine's loopback and disks. */
  readonly withoutNamespaces: string | null;
  /** Names of the wanted faults; null wants all. Of two tiers a name means both, `hub/` and the name one of them. */
  readonly only: readonly string[] | null;
  readonly report: (text: string) => void;
  /** Breaks the run off: everything is taken away, and there is no verdict. */
  readonly signal: AbortSignal;
}

/** What is said of one cluster, and what it is said by. */
export interface TierOutcome extends Figures {
  readonly name: string;
  readonly operations: readonly Operation[];
  readonly observations: Observations;
}

export interface Outcome {
  /** The only cluster, or the site and its hub. */
  readonly clusters: readonly TierOutcome[];
  /** Null with one tier. */
  readonly mirror: MirrorFigures | null;
  readonly faults: Readonly<Record<string, number>>;
  /** Faults that had no effect now and then, as a leader does not hand over to whom it does not hear. */
  readonly withoutEffect: Readonly<Record<string, number>>;
  /** Everything that is not as it should be, in words. */
  readonly findings: readonly string[];
  readonly bands: readonly Band[];
}

type Known = readonly (Fault | MissingFault)[];

/** What may happen to the nodes of each cluster, and between them. */
interface Catalogues {
  readonly of: ReadonlyMap<RealCluster, Known>;
  readonly uplink: Known;
}

/** Nodes are gone when it ends; their folders stay. @throws Error when it could not be carried out; why it was broken off */
export async function run(options: RunOptions): Promise<Outcome> {
  const { nodes, tiers: count, withoutNamespaces } = options;
  const namespaces = withoutNamespaces === null ? await layOutNamespaces(count * nodes) : null;
  const tiers = await layOutTiers({ ...options, namespaces });
  const clusters = tiers.hub === null ? [tiers.site] : [tiers.site, tiers.hub];
  const disks: SmallDisk[] = [];
  const known = new Map<RealCluster, Known>();
  for (const cluster of clusters) {
    const last = cluster.members.at(-1);
    const smallDisk = namespaces === null || last === undefined ? null : await SmallDisk.mount(last);
    if (smallDisk !== null) disks.push(smallDisk);
    const all = await catalogue({ namespaces, withoutNamespaces: withoutNamespaces ?? "", smallDisk });
    known.set(cluster, tiers.hub === null ? all : all.map((fault) => atTier(fault, cluster.name)));
  }
  const uplink = tiers.hub === null ? [] : uplinkFaults(tiers.hub, namespaces, withoutNamespaces ?? "");
  try {
    const wanted = chosen({ of: known, uplink }, options);
    const members = clusters.flatMap((cluster) => cluster.members);
    for (const { process } of members) process.start();
    await Promise.all(members.map(({ process }) => process.ready(options.signal)));
    return await attack(tiers, wanted, options);
  } finally {
    const everyone = clusters.flatMap((cluster) => cluster.everyone);
    await Promise.all(everyone.map(({ process }) => process.retire()));
    for (const disk of disks) await disk.unmount();
  }
}

/** With two tiers a fault's name says whose it is. */
function atTier(fault: Fault | MissingFault, tier: string): Fault | MissingFault {
  const name = `${tier}/${fault.name}`;
  if (tier === "hub" && NOT_AT_A_HUB.includes(fault.name))
    return { name, missing: "a site is not told of new nodes of its hub" };
  return { ...fault, name };
}

/** @throws Error for a name that no fault has */
function chosen(catalogues: Catalogues, { only }: RunOptions): Catalogues {
  if (only === null) return catalogues;
  const names = (known: Known): readonly string[] => known.flatMap(({ name }) => [name, bareOf(name)]);
  const all = new Set([...[...catalogues.of.values()].flatMap(names), ...names(catalogues.uplink)]);
  const unknown = only.find((name) => !all.has(name));
  if (unknown !== undefined) throw new Error(`there is no fault ${unknown}; there are ${[...all].join(", ")}`);
  const wanted = (known: Known): Known =>
    known.filter(({ name }) => only.includes(name) || only.includes(bareOf(name)));
  return {
    of: new Map([...catalogues.of].map(([cluster, known]) => [cluster, wanted(known)])),
    uplink: wanted(catalogues.uplink),
  };
}

const bareOf = (name: string): string => name.slice(name.indexOf("/") + 1);

/** Those that can be had; of the others it is said that they are missing. */
function haveable(known: Known, report: (text: string) => void): readonly Fault[] {
  return known.flatMap((fault) => {
    if (!("missing" in fault)) return [fault];
    report(`without the fault ${fault.name}: ${fault.missing}`);
    return [];
  });
}

async function attack(tiers: Tiers, known: Catalogues, options: RunOptions): Promise<Outcome> {
  const { seed, pace, report, signal } = options;
  const off = new AbortController();
  const sieges: Siege[] = [];
  let hierarchy: Hierarchy | null = null;
  try {
    for (const [cluster, its] of known.of) {
      const own = {
        cluster,
        load: loadOf(tiers, cluster),
        faults: haveable(its, report),
        seed: seed + 100 * sieges.length,
      };
      sieges.push(await Siege.lay({ ...own, pace, report, off: off.signal, signal }));
    }
    const [site, hub] = sieges;
    if (site === undefined) throw new Error("a run has a cluster");
    const now = (): number => site.observations.now();
    const uplink = new Nemesis({
      ...{ cluster: site.cluster, faults: haveable(known.uplink, report), seed: seed + 50, pace, report, now },
      signal: off.signal,
      brokenOff: signal,
    });
    if (hub !== undefined) hierarchy = new Hierarchy(site, hub, seed + 60);
    const findings = await inflict(sieges, uplink, off, options);
    signal.throwIfAborted();
    report("no more faults; waiting until all are back");
    const judged = await Promise.race([judge(sieges, hierarchy, report), breakingOff(signal)]);
    const nemeses = [...sieges.map(({ nemesis }) => nemesis), uplink];
    const everything = [...[...known.of.values()].flat(), ...known.uplink];
    return {
      clusters: judged.clusters,
      mirror: judged.mirror,
      // Those that cannot be had here are counted too, so that it is seen.
      faults: Object.assign(
        Object.fromEntries(everything.map(({ name }) => [name, 0])),
        ...nemeses.map((nemesis) => nemesis.counts()),
      ),
      withoutEffect: Object.assign({}, ...nemeses.map((nemesis) => nemesis.withoutEffect())),
      findings: [...findings, ...uplink.findings, ...judged.findings],
      bands: nemeses.flatMap(({ bands }) => bands),
    };
  } finally {
    await Promise.all([...sieges.map((siege) => siege.abandon()), hierarchy?.abandon()]);
  }
}

/** Never resolves. */
function breakingOff(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

/** Until the time is up. @returns what clients met that none may, in words */
async function inflict(
  sieges: readonly Siege[],
  uplink: Nemesis,
  off: AbortController,
  { report, durationMs, signal }: RunOptions,
): Promise<readonly string[]> {
  const findings: string[] = [];
  const inflicting = Promise.all([...sieges.map((siege) => siege.endure()), uplink.run()]);
  const progress = setInterval(() => sieges.forEach((siege) => void report(siege.progress)), PROGRESS_MS);
  const time = sleep(durationMs, undefined, { signal }).catch(() => report("broken off"));
  const failed = Promise.race(sieges.map(({ failure }) => failure)).then((text) => void findings.push(text));
  try {
    await Promise.race([time, failed, inflicting.then(() => time)]);
  } finally {
    clearInterval(progress);
    off.abort();
    await inflicting;
  }
  return findings;
}

interface JudgedAll {
  readonly clusters: readonly TierOutcome[];
  readonly mirror: MirrorFigures | null;
  readonly findings: readonly string[];
}

async function judge(
  sieges: readonly Siege[],
  hierarchy: Hierarchy | null,
  report: (text: string) => void,
): Promise<JudgedAll> {
  await Promise.all(sieges.map((siege) => siege.lift()));
  const between = hierarchy === null ? null : await hierarchy.judge(report);
  report("reading everything back");
  const clusters: TierOutcome[] = [];
  const findings: string[] = [];
  for (const siege of sieges) {
    const { findings: its, ...judged }: Judged = await siege.judge();
    clusters.push({ ...judged, name: siege.cluster.name, observations: siege.observations });
    findings.push(...its);
  }
  return { clusters, mirror: between?.figures ?? null, findings: [...(between?.findings ?? []), ...findings] };
}
