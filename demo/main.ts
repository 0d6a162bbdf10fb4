/** `npm start`: the demo's fleet, live until Ctrl-C, or with --check the whole story unattended. */
import { buildPage } from "./build-page.ts";
import { runCheck } from "./check/story.ts";
import { Fleet } from "./fleet.ts";
import { HELP, type Options, parseOptions } from "./options.ts";
import { loadQuakes } from "./quakes.ts";
import { Refusal } from "./refusal.ts";
import { replay } from "./replay.ts";
import { SiteClient } from "./site-client.ts";
import { publishSites } from "./site-directory.ts";
import { type SitePlan, sitesFor } from "./sites.ts";

/** Puts of one site under way at once in the live replay. */
const IN_FLIGHT = 8;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Aborts at the first Ctrl-C or SIGTERM; a second one means the same. */
function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => controller.abort());
  return controller.signal;
}

async function live(options: Options, signal: AbortSignal): Promise<void> {
  const sites = sitesFor(options.sites);
  const quakes = await loadQuakes(options.quakes);
  say("Preparing the page …");
  const page = await buildPage();
  const { folder, fresh } = options;
  const fleet = await Fleet.open({ folder, sites, page, ports: "preferred", fresh, report: say });
  say(`Starting ${fleet.nodes.length} nodes …`);
  try {
    await fleet.start(signal);
    await publishSites(fleet, signal);
    say(whereToLook(fleet));
    await Promise.all(sites.map((site) => replayLive(fleet, site, quakes, options.speed, signal)));
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    say("Stopping …");
    await fleet.stop();
    say(`Stopped. The data stays in ${folder}.`);
  }
}

async function replayLive(
  fleet: Fleet,
  { name, networks }: SitePlan,
  quakes: Awaited<ReturnType<typeof loadQuakes>>,
  speed: number,
  signal: AbortSignal,
): Promise<void> {
  const events = quakes.filter(({ network }) => networks.includes(network));
  const tenth = Math.ceil(events.length / 10);
  const onAcknowledged = (_: unknown, count: number): void => {
    if (count % tenth === 0) say(`${name}: ${count} of ${events.length} sensor events`);
  };
  const client = new SiteClient(fleet.site(name).urls);
  try {
    const { acknowledged, already } = await replay(name, client, events, {
      speed,
      inFlightMax: IN_FLIGHT,
      signal,
      onAcknowledged,
    });
    const earlier = already === 0 ? "" : `; ${already} were there from an earlier run (--fresh begins anew)`;
    say(`${name}: all sensor events are in, ${acknowledged.length} of them now${earlier}`);
  } catch (error) {
    if (signal.aborted) return;
    // The fleet stays up: people may want to look at what went wrong.
    say(`${name}: the replay ended: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function whereToLook(fleet: Fleet): string {
  const sites = fleet.sites.map(({ name, urls }) => `  ${name.padEnd(12)} ${urls.map((url) => `${url}/`).join("  ")}`);
  return [
    "",
    "Everything is up. Open a gateway's page, at both sites, and write into the shift log:",
    ...sites,
    `The hub's dashboard, at each of its nodes:\n  ${"hub".padEnd(12)} ${fleet.hub.urls.map((url) => `${url}/`).join("  ")}`,
    `Logs: ${fleet.folder}/logs. Ctrl-C stops everything; the data is kept.`,
    "",
  ].join("\n");
}

/** @returns the exit code */
async function check(options: Options, signal: AbortSignal): Promise<number> {
  const report = options.json ? () => undefined : (text: string) => void process.stderr.write(`${text}\n`);
  const started = performance.now();
  const result = await runCheck({ ...options, report, signal }).catch((error: unknown) => {
    // The last line is JSON whatever happens; what was not reached has no value.
    const wallSeconds = Math.round((performance.now() - started) / 10) / 100;
    say(JSON.stringify({ ok: false, wallSeconds, error: error instanceof Error ? error.message : String(error) }));
    throw error;
  });
  for (const finding of result.findings) report(`NOT AS IT SHOULD BE: ${finding}`);
  say(JSON.stringify(result));
  return result.ok ? 0 : 1;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(HELP);
  else if (options.check) process.exitCode = await check(options, untilInterrupted());
  else await live(options, untilInterrupted());
} catch (error) {
  // A stack helps only where the person can do nothing about it.
  const text =
    error instanceof Refusal ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`${text}\n`);
  // What a failed story still waits for is of no interest any more; its processes are gone.
  process.exit(1);
}
