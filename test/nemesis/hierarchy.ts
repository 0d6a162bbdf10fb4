/**
 * The promise between a site and its hub: what was acknowledged at the site is at the hub exactly once, in the order of its
 * revisions and unaltered; and what the site subscribes to of the hub's is at the site in the same way.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import { SeededRandom } from "../simulation/seeded-random.ts";
import type { RealCluster } from "./cluster.ts";
import type { Versioned } from "./key-value-client.ts";
import { type Mirrored, mirrored, readLedger } from "./ledgers.ts";
import type { Siege } from "./siege.ts";
import { UNIQUE_PREFIX } from "./unique-keys.ts";
import { Watcher } from "./watcher.ts";

/** Ms after all are back until each tier must have all of the other's: a backlog, and the uplink's longest backoff. */
const CAUGHT_UP_MS = 120_000;
const POLL_MS = 200;
const SUBSCRIBED = toHex(utf8(UNIQUE_PREFIX));

/** Of revisions that crossed the uplink. */
export interface MirrorFigures {
  readonly up: Omit<Mirrored, "findings">;
  readonly down: Omit<Mirrored, "findings">;
  /** From when all were back until each tier had all of the other's; null: that did not happen. */
  readonly caughtUpMs: number | null;
}

export class Hierarchy {
  readonly #site: Siege;
  readonly #hub: Siege;
  readonly #mirror: Watcher;

  constructor(site: Siege, hub: Siege, seed: number) {
    this.#site = site;
    this.#hub = hub;
    this.#mirror = new Watcher(hub.cluster, new SeededRandom(seed), site.cluster.name);
  }

  /** When clients are gone. */
  async judge(report: (text: string) => void): Promise<{
    readonly figures: MirrorFigures;
    readonly findings: readonly string[];
  }> {
    const [site, hub] = [this.#site.cluster, this.#hub.cluster];
    report("waiting until each tier has all of the other's");
    const began = performance.now();
    const late = await this.#catchesUp();
    const caughtUpMs = late === null ? Math.round(performance.now() - began) : null;
    const findings = late === null ? [] : [late];
    const above = await this.#hub.stored(site.name);
    if (above === null) findings.push(`nobody at ${hub.name} answers what is there of ${site.name}`);
    else {
      findings.push(...this.#site.missing(above).map((text) => `at ${hub.name}: ${text}`));
      findings.push(...(await this.#mirror.conclude(above)));
    }
    report("holding the ledgers against each other");
    const [below, over] = [await readLedger(site), await readLedger(hub)];
    const up = mirrored(below, over, () => true);
    const down = mirrored(over, below, ({ keys }) => keys.some((key) => key.startsWith(SUBSCRIBED)));
    findings.push(...below.findings, ...over.findings, ...up.findings, ...down.findings);
    return { figures: { up: figuresOf(up), down: figuresOf(down), caughtUpMs }, findings };
  }

  async abandon(): Promise<void> {
    await this.#mirror.stop();
  }

  /** Null, or what is not where it should be, in words. */
  async #catchesUp(): Promise<string | null> {
    const [site, hub] = [this.#site, this.#hub];
    for (const deadline = performance.now() + CAUGHT_UP_MS; ; await sleep(POLL_MS)) {
      const behind = (await notHeld(site.cluster)) ?? (await differ(site, hub)) ?? (await differ(hub, site));
      if (behind === null || performance.now() > deadline) return behind;
    }
  }
}

/** S3: the site knows that its parent has all. */
async function notHeld(site: RealCluster): Promise<string | null> {
  for (const member of site.members) {
    const status = await site.status(member);
    if (status?.parent == null) return `${member.name} does not say what the hub has`;
    if (status.parent.holds < status.revision)
      return `${member.name} is at revision ${status.revision}, and says that the hub holds ${status.parent.holds}`;
  }
  return null;
}

/** The unique keys of a cluster, and its mirror of them. */
async function differ(source: Siege, mirror: Siege): Promise<string | null> {
  const [own, copy] = await Promise.all([source.stored(null), mirror.stored(source.cluster.name)]);
  if (own === null || copy === null) return "nobody answers what is there of the unique keys";
  const wrong = [...own].filter(([key, row]) => !same(copy.get(key), row));
  if (wrong.length === 0 && own.size === copy.size) return null;
  return `${mirror.cluster.name} has ${copy.size} unique keys of ${source.cluster.name}'s ${own.size}, ${wrong.length} of those not as there`;
}

const same = (one: Versioned | undefined, other: Versioned): boolean =>
  one?.revision === other.revision && one.value === other.value;

const figuresOf = ({ findings: _, ...figures }: Mirrored): Omit<Mirrored, "findings"> => figures;
