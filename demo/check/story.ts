/**
 * The whole story, unattended: a fleet, a week of earthquakes, a dead leader, a cut uplink, two operators who type into
 * one text and are offline most of the time. Then everything is held against what was promised.
 */
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { buildPage } from "../build-page.ts";
import { Fleet } from "../fleet.ts";
import { loadQuakes } from "../quakes.ts";
import { Refusal } from "../refusal.ts";
import { type AcknowledgedPut, longestGapMs, replay } from "../replay.ts";
import { SiteClient } from "../site-client.ts";
import { sitesFor } from "../sites.ts";
import { type Cut, cutUplink, killLeader } from "./faults.ts";
import { Operator } from "./operator.ts";
import { Reference } from "./reference-worker.ts";
import { documentAt, eventually } from "./status.ts";
import { loadTrace } from "./trace.ts";
import { typeTrace } from "./typing.ts";
import { type Verdict, verify } from "./verify.ts";
import { whereabouts } from "./whereabouts.ts";

export interface CheckOptions {
  /** GeoJSON feed of earthquakes. */
  readonly quakes: string;
  /** Concurrent editing trace with two agents. */
  readonly trace: string;
  /** How many of its transactions are played; null for all. */
  readonly transactions: number | null;
  /** Keeps the fleet's folder, for whoever wants to look into it. */
  readonly keep: boolean;
  /** A module whose default export gets the idle fleet before it is verified: how tests alter what must not be altered. */
  readonly beforeVerify: string | null;
  readonly report: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface CheckResult extends Omit<Verdict, "findings"> {
  readonly ok: boolean;
  readonly putsAcknowledged: number;
  readonly longestWriteGapMs: number;
  readonly uplinkCatchUpSeconds: number;
  readonly documentConvergedSeconds: number;
  readonly documentEqualsEndContent: boolean | null;
  readonly transactionsPlayed: number;
  /** Acknowledged by a site while it was cut off from the hub. */
  readonly putsAcknowledgedWhileCut: number;
  readonly putsRetried: number;
  readonly wallSeconds: number;
  readonly findings: readonly string[];
}

/** Whose leader dies, and whose uplink is cut: not the same, because a restarted gateway comes up with its uplink. */
const KILLED = "california";
const CUT = "alaska";
/** The part of a site's puts that is acknowledged when its fault happens. */
const KILL_AT = 0.5;
const CUT_AT = 0.4;
/** With fewer puts left the replay may be over before the uplink of the last gateway is down. */
const CUT_EVENTS_MIN = 200;
/** Puts of one site under way at once: enough that a group commit has something to group, and a death something to hit. */
const IN_FLIGHT = 16;
const CONVERGE_MS = 120_000;

export async function runCheck(options: CheckOptions): Promise<CheckResult> {
  const started = performance.now();
  const seconds = (): number => Math.round((performance.now() - started) / 10) / 100;
  const report = (text: string): void => options.report(`${seconds().toFixed(1).padStart(5)} s  ${text}`);
  const quakes = await loadQuakes(options.quakes);
  const trace = await loadTrace(options.trace);
  const transactions = trace.transactions.slice(0, options.transactions ?? trace.transactions.length);
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "openclaw-check-"));
  /** Undone in reverse order, whatever happens. */
  const cleanup: (() => Promise<unknown>)[] = [];
  if (options.keep) report(`the fleet's folder is ${folder}`);
  else cleanup.push(() => fs.rm(folder, { recursive: true, force: true }));

  const tell = async (): Promise<CheckResult> => {
    const reference = Reference.start(transactions);
    cleanup.push(() => reference.stop());
    const sites = sitesFor([]);
    const fleet = await Fleet.open({ folder, sites, page: await buildPage(), ports: "any", fresh: false, report });
    cleanup.push(() => fleet.stop());
    const launch = async (site: string): Promise<Operator> => {
      const operator = await Operator.launch(site);
      cleanup.push(() => operator.close());
      return operator;
    };
    const starting = fleet.start(options.signal);
    starting.catch(() => undefined);
    const operators: Operator[] = [];
    for (const { name } of fleet.sites) operators.push(await launch(name));
    await starting;
    await Promise.all(operators.map((operator) => operator.open(fleet.site(operator.site).urls[0] ?? "")));
    report(`${fleet.nodes.length} nodes and ${operators.length} browsers are up; replaying the earthquakes`);

    const quaking = await replayWithFaults(fleet, sites, quakes, report, options.signal);
    report(`${quaking.count} puts acknowledged; ${transactions.length} keystrokes of two operators follow`);

    const heads = await typeTrace(operators, transactions, (round, rounds, played) => {
      options.signal.throwIfAborted();
      if (round % Math.ceil(rounds / 20) === 0 || round === rounds) {
        report(`round ${round} of ${rounds}: ${played} transactions played and exchanged`);
      }
    }).catch(async (error: unknown) => {
      report(`typing ended; this is how things stand:\n${await whereabouts(fleet, operators)}`);
      throw error;
    });
    const typedAt = performance.now();
    const wanted = [...heads].sort().join();
    await eventually("every gateway and the hub have the whole document", CONVERGE_MS, async () => {
      const documents = await Promise.all(fleet.nodes.map(({ http }) => documentAt(http)));
      return documents.every((document) => [...(document?.heads ?? [])].sort().join() === wanted) ? true : null;
    });
    await eventually("the browsers have handed over everything", CONVERGE_MS, async () => {
      const states = await Promise.all(operators.map((operator) => operator.state()));
      return states.every(({ unsynced }) => unsynced === 0) ? true : null;
    });
    const documentConvergedSeconds = (performance.now() - typedAt) / 1_000;
    report("converged; verifying");

    if (options.beforeVerify !== null) await (await import(path.resolve(options.beforeVerify))).default(fleet);
    const text = await reference.text();
    const { findings, ...verdict } = await verify(fleet, operators, { puts: quaking.puts, text });
    const whole = transactions.length === trace.transactions.length;
    const documentEqualsEndContent = whole ? text === trace.endContent : null;
    return {
      ok: findings.length === 0 && documentEqualsEndContent !== false && quaking.wroteAlone,
      putsAcknowledged: quaking.count,
      ...verdict,
      longestWriteGapMs: Math.round(quaking.longestWriteGapMs),
      uplinkCatchUpSeconds: rounded(quaking.catchUpSeconds),
      documentConvergedSeconds: rounded(documentConvergedSeconds),
      documentEqualsEndContent,
      transactionsPlayed: transactions.length,
      putsAcknowledgedWhileCut: quaking.whileCut,
      putsRetried: quaking.retried,
      wallSeconds: seconds(),
      findings,
    };
  };
  const told = tell();
  // When it is interrupted, what it was waiting for fails while we clean up.
  told.catch(() => undefined);
  try {
    return await Promise.race([told, interrupted(options.signal)]);
  } finally {
    for (const undo of cleanup.reverse()) {
      await undo().catch((error: unknown) => report(`cleaning up: ${String(error)}`));
    }
  }
}

/** Rejects when the person at the terminal has had enough. */
const interrupted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const stop = (): void => reject(new Refusal("Interrupted."));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });

interface Quaking {
  readonly puts: ReadonlyMap<string, readonly AcknowledgedPut[]>;
  readonly count: number;
  readonly retried: number;
  readonly whileCut: number;
  /** The site went on without the hub; or had too little left to write for that to be seen. */
  readonly wroteAlone: boolean;
  readonly longestWriteGapMs: number;
  readonly catchUpSeconds: number;
}

async function replayWithFaults(
  fleet: Fleet,
  sites: ReturnType<typeof sitesFor>,
  quakes: Awaited<ReturnType<typeof loadQuakes>>,
  report: (text: string) => void,
  signal: AbortSignal,
): Promise<Quaking> {
  const replays = sites.map(async ({ name, networks }) => {
    const site = fleet.site(name);
    const events = quakes.filter(({ network }) => networks.includes(network));
    const written = Promise.withResolvers<void>();
    const faultAt = Math.ceil(events.length * (name === KILLED ? KILL_AT : CUT_AT));
    const faults: Promise<Cut | null>[] = [];
    const happen = (): void => {
      if (faults.length > 0) return;
      if (name === KILLED) faults.push(killLeader(site, report).then(() => null));
      if (name === CUT) faults.push(cutUplink(fleet, site, written.promise, report));
      // Their failure is thrown below.
      for (const fault of faults) fault.catch(() => undefined);
    };
    const onAcknowledged = (_: AcknowledgedPut, count: number): void => {
      if (count === faultAt) happen();
    };
    try {
      const options = { speed: Number.POSITIVE_INFINITY, inFlightMax: IN_FLIGHT, signal, onAcknowledged };
      const { acknowledged } = await replay(name, new SiteClient(site.urls), events, options);
      // With too few events to have a middle, things go wrong all the same.
      happen();
      written.resolve();
      const [cut = null] = await Promise.all(faults);
      return { name, acknowledged, cut, unwritten: events.length - faultAt };
    } finally {
      written.resolve();
    }
  });
  const sitesDone = await Promise.all(replays);
  const all = sitesDone.flatMap(({ acknowledged }) => acknowledged);
  const alone = sitesDone.find(({ cut }) => cut !== null);
  const whileCut = (alone?.acknowledged ?? []).filter(({ atMs }) => atMs > (alone?.cut?.cutAtMs ?? 0)).length;
  return {
    puts: new Map(sitesDone.map(({ name, acknowledged }) => [name, acknowledged])),
    count: all.length,
    retried: all.filter(({ attempts }) => attempts > 1).length,
    whileCut,
    wroteAlone: whileCut > 0 || (alone?.unwritten ?? 0) < CUT_EVENTS_MIN,
    longestWriteGapMs: Math.max(...sitesDone.map(({ acknowledged }) => longestGapMs(acknowledged))),
    catchUpSeconds: alone?.cut?.catchUpSeconds ?? 0,
  };
}

const rounded = (seconds: number): number => Math.round(seconds * 100) / 100;
