/**
 * A walk of a site and its hub through restores, clones, old lives that wake, lagging nodes and cut wires, drawn from a seed.
 * Whatever parts two lives is injected here, so it is known what has to be reported: every one of those, and nothing else.
 */
import { equalBytes, toHex, utf8 } from "@openclaw/core/bytes.ts";
import { isLinkId, type LinkId } from "@openclaw/core/ids.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { carryOutChange, planResolution } from "@openclaw/core/sync/life-change.ts";
import { TestCluster, World } from "../unit/sync/world.ts";
import { SeededRandom } from "./seeded-random.ts";
import { sha256 } from "./sha256.ts";

export interface WalkResult {
  readonly injected: number;
  readonly reported: number;
  readonly violations: readonly string[];
}

/** Long enough for every retry, and every run of nothing that waits. */
const REST_MS = 30_000;

export async function walk(seed: number, steps: number): Promise<WalkResult> {
  const walker = new Walker(seed);
  await walker.begin();
  for (let step = 0; step < steps && walker.violations.length === 0; step++) await walker.step();
  await walker.rest();
  return { injected: walker.injected, reported: walker.reported, violations: walker.violations };
}

class Walker {
  readonly violations: string[] = [];
  injected = 0;
  reported = 0;
  readonly #random: SeededRandom;
  readonly #world: World;
  #hub: TestCluster;
  #site: TestCluster;
  /** Lives of the site that were left. */
  readonly #left: TestCluster[] = [];
  #writes = 0;
  /** Revisions of the hub at which an operator decided. */
  #decided: number[] = [];

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#world = new World(seed);
    this.#hub = new TestCluster(this.#world, "hub");
    this.#site = new TestCluster(this.#world, "california");
  }

  async begin(): Promise<void> {
    await this.#hub.start();
    await this.#site.start();
    this.#connect();
    for (let i = 0; i < 3; i++) await this.#write(this.#site);
    await this.rest();
  }

  async step(): Promise<void> {
    const draw = this.#below(20);
    if (draw < 7) for (let i = this.#below(4); i >= 0; i--) await this.#write(this.#site);
    else if (draw < 10) for (let i = this.#below(3); i >= 0; i--) await this.#write(this.#hub);
    else if (draw < 12) this.#world.cutAll();
    else if (draw < 15) await this.#world.elapse(this.#below(3_000));
    else if (draw === 15) await this.#restoreSite();
    else if (draw === 16) await this.#restoreHub();
    else if (draw === 17) await this.#clone();
    else if (draw === 18) await this.#wakeOld();
    else await this.#lagging();
  }

  /** Everything comes to rest, and is what it should be. */
  async rest(): Promise<void> {
    this.#hub.ended.length = 0;
    await this.#world.elapse(REST_MS);
    this.#quiet("at rest");
    const { link } = await this.#hub.read({ kind: "link", link: this.#link(this.#site) });
    const { revision, hash } = this.#site.position();
    if ((link?.cursor ?? 0) !== revision) this.#violated(`the hub has ${link?.cursor ?? 0} of ${revision} revisions`);
    else if (link !== null && !equalBytes(link.hash, hash)) this.#violated(`the hub has another hash at ${revision}`);
    await this.#sameRows(this.#site, this.#hub, "the hub's mirror of the site");
    await this.#sameRows(this.#hub, this.#site, "the site's mirror of the hub");
    const mirror = await this.#hub.history({
      kind: "mirror",
      link: this.#link(this.#site),
      from: 1 as never,
      bytes: 1e9,
    });
    if (mirror.fault !== null)
      this.#violated(`the mirror is wrong at ${mirror.fault.revision}: ${mirror.fault.details}`);
    const { parentHolds } = this.#site.position();
    if (parentHolds !== revision) this.#violated(`the rung hub is told up to ${parentHolds} of ${revision}`);
  }

  async #restoreSite(): Promise<void> {
    await this.rest();
    const { revision } = this.#site.position();
    const behind = this.#below(2) === 0;
    // What it has written since, and its hub does not have, is lost with it.
    await this.#site.uplink?.stop();
    for (let i = this.#below(3); i > 0; i--) await this.#write(this.#site);
    const at = behind ? this.#below(revision) : revision + this.#below(this.#site.position().revision - revision + 1);
    const before = this.#site;
    this.#left.push(before);
    this.#site = await before.restored(at);
    await this.#write(this.#site);
    this.#connect();
    if (at >= revision) return this.rest();
    await this.#injected(this.#site, ["EPOCH_BEHIND"], `a site restored at ${at}, behind ${revision}`);
    await this.#resolve(at);
    await this.rest();
  }

  async #resolve(parting: number | null): Promise<void> {
    const plan = await planResolution(this.#hub, sha256, this.#site.id, this.#site.epoch.nonce);
    if (parting !== null && plan.parting !== parting)
      this.#violated(`they part at ${parting}, told was ${plan.parting}`);
    this.#decided.push(this.#hub.position().revision);
    await carryOutChange((command) => this.#hub.propose(command, { principal: "operator" }), plan, null);
  }

  async #restoreHub(): Promise<void> {
    await this.rest();
    const { revision } = this.#hub.position();
    const at = this.#below(revision + 1);
    const again = await this.#hub.restored(at);
    await this.#site.uplink?.stop();
    this.#hub = again;
    await this.#write(this.#hub);
    this.#connect();
    // What was decided since then is to be decided again, if it had taken what was put aside.
    const undecided = this.#decided.some((decided) => decided >= at);
    this.#decided = this.#decided.filter((decided) => decided < at);
    if (undecided) await this.#decideAgain();
    await this.rest();
  }

  async #decideAgain(): Promise<void> {
    await this.#world.elapse(5_000);
    if (!this.#hub.ended.some(({ code }) => code === "EPOCH_BEHIND")) return;
    this.injected++;
    this.reported++;
    await this.#resolve(null);
  }

  async #clone(): Promise<void> {
    await this.rest();
    const clone = await this.#site.cloned();
    // Something for certain: a clone that is merely ahead is no fork.
    await this.#put(this.#site);
    for (let i = this.#below(3); i > 0; i--) await this.#write(this.#site);
    await this.rest();
    for (let i = this.#below(5); i >= 0; i--) await this.#write(clone);
    await this.#refused(clone, ["FORK"], "a clone");
  }

  async #wakeOld(): Promise<void> {
    const old = this.#left[this.#below(this.#left.length)];
    if (old === undefined) return;
    await this.rest();
    if (this.#below(2) === 0) await this.#write(old);
    await this.#refused(old, ["WRONG_EPOCH", "FORK"], "an old life");
  }

  /** A node that is behind its own cluster when it is welcomed: that is no fork. */
  async #lagging(): Promise<void> {
    await this.rest();
    const site = this.#site;
    const old = site.position();
    await this.#put(site);
    for (let i = this.#below(3); i > 0; i--) await this.#write(site);
    await this.rest();
    await site.uplink?.stop();
    let asked = 0;
    const node = {
      propose: site.propose.bind(site),
      read: site.read.bind(site),
      history: site.history.bind(site),
      ledger: site.ledger.bind(site),
      follow: site.follow.bind(site),
      status: site.status.bind(site),
      onLeadership: site.onLeadership.bind(site),
      position: () => (asked < 2 ? old : site.position()),
      barrier: async () => {
        asked++;
      },
    };
    this.#world.uplink(node, this.#hub, { prefixes: [utf8("")] }, {}, site);
    await this.rest();
  }

  /** Another life connects beside the present one, and is gone again. */
  async #refused(life: TestCluster, codes: readonly string[], what: string): Promise<void> {
    await this.#site.uplink?.stop();
    await life.uplink?.stop();
    this.#world.uplink(life, this.#hub, { prefixes: [utf8("")] });
    await this.#injected(life, codes, what);
    await life.uplink?.stop();
    this.#connect();
    await this.rest();
  }

  async #injected(life: TestCluster, codes: readonly string[], what: string): Promise<void> {
    this.injected++;
    this.#hub.ended.length = 0;
    await this.#world.elapse(5_000);
    const there = this.#hub.ended.find((error) => codes.includes(error.code));
    const here = life.uplink?.status().lastError;
    if (there === undefined) this.#violated(`${what} went unseen at the hub`);
    if (here === null || here === undefined || !codes.includes(here.code))
      this.#violated(`${what} went unseen at its end: ${here?.code}`);
    if (there !== undefined && here !== null) this.reported++;
  }

  /** Nothing was injected, so nothing may be reported. */
  #quiet(when: string): void {
    const told = this.#hub.ended.find((error) => !error.retryable);
    const failed = this.#site.uplink?.status().lastError ?? null;
    if (told !== undefined) this.#violated(`${when} the hub reports ${told.code}: ${told.details}`);
    else if (failed !== null && !failed.retryable)
      this.#violated(`${when} the site reports ${failed.code}: ${failed.details}`);
  }

  async #sameRows(owner: TestCluster, mirror: TestCluster, what: string): Promise<void> {
    const [own, mirrored] = await Promise.all([rows(owner, null), rows(mirror, owner)]);
    if (own !== mirrored) this.#violated(`${what} is ${mirrored}, not ${own}`);
  }

  #connect(): void {
    this.#world.uplink(this.#site, this.#hub, { prefixes: [utf8("")] });
  }

  async #write(cluster: TestCluster): Promise<void> {
    if (this.#below(4) > 0) return this.#put(cluster);
    await cluster.execute({ kind: "deleteRange", keys: { kind: "key", key: this.#key() } });
  }

  async #put(cluster: TestCluster): Promise<void> {
    await cluster.execute({ kind: "put", key: this.#key(), value: utf8(`${this.#writes++}`) });
  }

  #key(): Uint8Array {
    return utf8(`k${this.#below(5)}`);
  }

  #link({ id }: TestCluster): LinkId {
    if (!isLinkId(id)) throw new Error(id);
    return id;
  }

  #violated(what: string): void {
    this.violations.push(what);
  }

  #below(limit: number): number {
    return limit <= 0 ? 0 : Math.floor(this.#random.unit() * limit);
  }
}

async function rows(cluster: TestCluster, of: TestCluster | null): Promise<string> {
  const { rows: found } = await cluster.read({
    kind: "range",
    origin: of?.id ?? null,
    ...plainRange(utf8(""), null, 10_000),
  });
  return found
    .map(
      ({ key, value, createRevision, modRevision, version }) =>
        `${toHex(key)}=${toHex(value)} (${createRevision}, ${modRevision}, ${version})`,
    )
    .join(" ");
}
