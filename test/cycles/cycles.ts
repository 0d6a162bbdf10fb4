/**
 * The cycles: edits are made, something ends the page in their midst, it is opened again on the same device, and whatever
 * was shown as safe must be there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "@openclaw/demo/fleet.ts";
import type { Page } from "playwright";
import type { SeededRandom } from "../simulation/seeded-random.ts";
import { type Device, TABS_MAX } from "./device.ts";
import {
  drawEnding,
  drawLoss,
  drawMoment,
  drawTrouble,
  ENDINGS,
  type Ending,
  LOSS,
  type Moment,
  TROUBLES,
  type Trouble,
} from "./faults.ts";
import type { Ledger } from "./ledger.ts";
import { changeId, type Oracle, type Verdict } from "./oracle.ts";

export interface World {
  readonly device: Device;
  readonly site: Cluster;
  readonly siteLedger: Ledger;
  readonly hubLedger: Ledger;
  readonly oracle: Oracle;
  readonly random: SeededRandom;
  readonly report: (text: string) => void;
}

/** Ms until the edits of a cycle show what its end waits for; offline behind a long outbox they may not. */
const MOMENT_MS = 5_000;
/** Ms after the first edit when the end comes at no special moment. */
const LATER_MS = 400;
/** Ms for what is committed to show in the ledger of whichever node is asked. */
const LEDGER_MS = 20_000;
/** Ms for all that a device holds to climb to the hub, when nothing is in its way any more. */
const CLIMB_MS = 180_000;
/** The clock of a page jumps by at most so much, either way, ms. */
const JUMP_MS = 36 * 3_600_000;
const FREEZE_MS = 1_500;
const LOOK_MS = 50;
const REPORT_EVERY = 10;

const CHANGE = /^change /;

export class Cycles {
  readonly #world: World;
  readonly #faults = new Map<string, number>([...ENDINGS, LOSS, ...TROUBLES].map((name) => [name, 0]));
  readonly #losses: string[] = [];
  readonly #complaints: string[] = [];
  readonly #falselyAtHub = new Set<string>();
  /** Gateways on their way back. */
  readonly #returning = new Set<Promise<void>>();
  #count = 0;
  #tab: Page | null = null;
  /** The name of the device's database, as of the last look. */
  #database: string | null = null;

  constructor(world: World) {
    this.#world = world;
  }

  /** Carried out so far. */
  get count(): number {
    return this.#count;
  }

  get faults(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#faults);
  }

  /** Each time that the device's database was found to be another one, and what its page told of that. */
  get losses(): readonly string[] {
    return this.#losses;
  }

  /** Of the run as a whole, where no edit can be named. */
  get complaints(): readonly string[] {
    return this.#complaints;
  }

  async run(cycles: number, signal: AbortSignal): Promise<void> {
    const { device, oracle, report } = this.#world;
    this.#tab = await device.open();
    await this.#databaseLost(this.#tab);
    while (this.#count < cycles) {
      signal.throwIfAborted();
      await this.#cycle();
      this.#count++;
      if (this.#count % REPORT_EVERY === 0) {
        const { made, device: safe, site, hub } = oracle.counts();
        report(
          `${this.#count} cycles: ${made} edits, ${safe} seen at device, ${site} at site, ${hub} at hub, ${oracle.lost} lost, ` +
            `${oracle.owed} owed`,
        );
      }
    }
  }

  /** Nothing goes wrong any more: all of it climbs to the hub. */
  async conclude(signal: AbortSignal): Promise<Verdict> {
    const { device, oracle, siteLedger, hubLedger } = this.#world;
    await device.setOffline(false);
    await Promise.all(this.#returning);
    const tab = await this.#reopened();
    const deadline = performance.now() + CLIMB_MS;
    let waits = "";
    for (;;) {
      signal.throwIfAborted();
      const [state, below, gone] = await tab.evaluate((hashes) => {
        const page = globalThis.cyclePage;
        return [page?.state(), page?.below(hashes), page?.missing(hashes) ?? hashes] as const;
      }, hashesOf(oracle.kept()));
      const told = (await siteLedger.advance()) && (await hubLedger.advance());
      const missing = oracle.kept().filter((id) => !hubLedger.times.has(id));
      waits =
        `${JSON.stringify(state)}; ${below?.length} changes are not shown at the hub; the hub lacks ${missing.length}; ` +
        `the document lacks ${gone.length}`;
      const climbed = told && state?.unsynced === 0 && below?.length === 0 && missing.length === 0;
      if (climbed && gone.length === 0) break;
      if (performance.now() > deadline) {
        this.#complaints.push(`not all at the hub and in the document after ${CLIMB_MS / 1_000} s: ${waits}`);
        oracle.lose(gone.map(changeId), "in the document at the end");
        break;
      }
      await sleep(LOOK_MS);
    }
    const verdict = oracle.judge(siteLedger, hubLedger);
    return {
      ...verdict,
      falselyAtHub: [...new Set([...this.#falselyAtHub, ...verdict.falselyAtHub])],
    };
  }

  async #cycle(): Promise<void> {
    const { random } = this.#world;
    const tab = await this.#reopened();
    const trouble = drawTrouble(random);
    if (trouble !== null) await this.#befall(trouble, tab);
    // Before the edits, so that none of their badges is missed.
    const moment = this.#moment(drawMoment(random));
    this.#edit();
    await moment;
    const ending = drawEnding(random);
    this.#counted(ending);
    await this.#end(ending, tab);
    await this.#check(await this.#reopened());
  }

  /** The tab that is looked at; opened if it ended. */
  async #reopened(): Promise<Page> {
    this.#tab ??= await this.#world.device.open();
    return this.#tab;
  }

  /** Into any of the tabs that are open, one after the other, without waiting for any of them to be stored. */
  #edit(): void {
    const { device, oracle, random } = this.#world;
    const edits = 2 + random.below(5);
    for (let i = 0; i < edits; i++) {
      const tab = random.pick(device.tabs);
      const name = `${this.#count + 1}-${i}`;
      if (random.chance(0.6)) {
        void perform(tab.evaluate((text) => globalThis.cyclePage?.type(text), `${name} all quiet. `));
      } else {
        const [key, value] = [`cycles/${name}`, `value of ${name}`];
        oracle.puts(key, value);
        void perform(tab.evaluate((put) => globalThis.cyclePage?.put(...put), [key, value] as const));
      }
    }
  }

  async #moment(moment: Moment): Promise<void> {
    const { oracle, random } = this.#world;
    if (moment === "later") return sleep(random.below(LATER_MS));
    const never = new AbortController();
    await Promise.race([
      oracle.next(moment),
      sleep(MOMENT_MS, undefined, { signal: never.signal }).catch(() => undefined),
    ]);
    never.abort();
  }

  async #end(ending: Ending, tab: Page): Promise<void> {
    const { device } = this.#world;
    switch (ending) {
      case "kill-browser":
        this.#tab = null;
        await device.kill();
        if (!drawLoss(this.#world.random)) return;
        this.#counted(LOSS);
        return device.loseDatabase();
      case "crash-tab":
        this.#tab = null;
        return device.crash(tab);
      case "close-tab":
        this.#tab = null;
        return tab.close();
      case "reload":
        await tab.reload();
        return device.ready(tab);
    }
  }

  async #befall(trouble: Trouble, tab: Page): Promise<void> {
    const { device, random, site } = this.#world;
    switch (trouble) {
      case "second-tab":
      case "duplicate-tab":
        if (device.tabs.length >= TABS_MAX) return this.#closeOthers(tab);
        if (trouble === "second-tab") await device.open();
        else await device.duplicate(tab);
        break;
      case "offline":
        // Back again the next time.
        await device.setOffline(!device.offline);
        if (!device.offline) return;
        break;
      case "kill-gateway":
      case "kill-all-gateways": {
        // One that is on its way back would never get there. The end of the run tells if it does not.
        await Promise.allSettled(this.#returning);
        const nodes = trouble === "kill-gateway" ? [random.pick(site.nodes)] : site.nodes;
        await Promise.all(nodes.map((node) => node.kill()));
        for (const node of nodes) node.start();
        const back = Promise.all(nodes.map((node) => node.ready())).then(() => void this.#returning.delete(back));
        this.#returning.add(back);
        // The end of the run waits for it, and fails with it.
        back.catch(() => undefined);
        break;
      }
      case "clock-jump":
        await tab.evaluate((ms) => globalThis.cyclePage?.jump(ms), random.below(JUMP_MS, -JUMP_MS));
        break;
      case "freeze":
        await device.freeze(random.below(FREEZE_MS));
        break;
    }
    this.#counted(trouble);
  }

  async #closeOthers(tab: Page): Promise<void> {
    for (const other of this.#world.device.tabs) if (other !== tab) await other.close();
  }

  /** What was ever shown as safe is on this device, or at the site; and what was shown at the hub is there. */
  async #check(tab: Page): Promise<void> {
    const { oracle, siteLedger, hubLedger } = this.#world;
    const where = `on the device at cycle ${this.#count + 1}`;
    const safe = oracle.safe();
    const databaseLost = await this.#databaseLost(tab);
    // First here, then there: a row leaves this device when it is committed.
    const queued = new Map(await tab.evaluate(() => globalThis.cyclePage?.queued() ?? []));
    const asked = hashesOf([...new Set([...safe, ...[...queued].flatMap(([id, deps]) => [id, ...deps])])]);
    const missing = await tab.evaluate((hashes) => globalThis.cyclePage?.missing(hashes) ?? hashes, asked);
    const look = { safe, databaseLost, missing: new Set(missing.map(changeId)), queued, where };
    await siteLedger.advance();
    const unaccounted = oracle.look(look, siteLedger);
    const deadline = performance.now() + LEDGER_MS;
    for (;;) {
      const told = await siteLedger.advance();
      const gone = unaccounted.filter((id) => !siteLedger.times.has(id));
      // With the whole site dead it cannot be told; the next look will, or the end of the run.
      if (gone.length === 0 || this.#returning.size > 0) break;
      if (told && performance.now() > deadline) {
        oracle.lose(gone, where);
        break;
      }
      await sleep(LOOK_MS);
    }

    const shown = oracle.shown("hub");
    await hubLedger.advance();
    for (const id of shown) if (!hubLedger.times.has(id)) this.#falselyAtHub.add(id);
  }

  /**
   * By the database's own name: what the page tells is kept beside it, in Local Storage, which a kill may set back by
   * seconds.
   */
  async #databaseLost(tab: Page): Promise<boolean> {
    const [database, state] = await tab.evaluate(
      async () => [await globalThis.cyclePage?.database(), globalThis.cyclePage?.state()] as const,
    );
    const before = this.#database;
    this.#database = database ?? null;
    if (before === null || before === database) return false;
    const loss = `cycle ${this.#count + 1}: ${state?.loss ?? "the page did not tell"}`;
    this.#losses.push(loss);
    this.#world.device.note(`database lost, ${loss}`);
    this.#world.report(`database lost, ${loss}`);
    return true;
  }

  #counted(fault: string): void {
    this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + 1);
  }
}

const hashesOf = (ids: readonly string[]): readonly string[] =>
  ids.flatMap((id) => (CHANGE.test(id) ? [id.replace(CHANGE, "")] : []));

/** Asked of a page that may be ended before it answers: then nobody knows, and the oracle counts what it was shown. */
const perform = (asked: Promise<unknown>): Promise<unknown> => asked.catch(() => undefined);
