/** A process with many light sites in it. */
import { LightSite } from "./light-site.ts";
import type { FromSites, ToSites } from "./messages.ts";

/** Failures that are told at a time. */
const APART_MAX = 3;
/** Sites that are started at once. */
const STARTING_MAX = 8;

/** Between two turns of putting, ms. */
const TURN_MS = 10;

const sites: LightSite[] = [];
let puts = 0;
let failed = 0;
let timer: NodeJS.Timeout | undefined;

const tell = (message: FromSites): void => void process.send?.(message);
const fatal = (error: unknown): void => {
  tell({ kind: "failed", reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.exit(1);
};

process.on("uncaughtException", fatal);
process.on("unhandledRejection", fatal);
// The run is gone: so are its sites.
process.on("disconnect", () => process.exit(0));
process.on("message", (message: ToSites) => {
  switch (message.kind) {
    case "start":
      void start(message.configs).catch(fatal);
      return;
    case "load":
      load(message.putsPerSecond, message.valueBytes);
      return;
    case "count":
      tell({ kind: "counted", connected: sites.filter((site) => site.connected).length, puts, failed, apart: apart() });
  }
});

async function start(configs: readonly string[]): Promise<void> {
  for (let at = 0; at < configs.length; at += STARTING_MAX) {
    const started = await Promise.all(
      configs.slice(at, at + STARTING_MAX).map((config) => LightSite.start(config, fatal)),
    );
    sites.push(...started);
  }
}

/** Why the first few that are not connected are not. */
const apart = (): readonly string[] =>
  sites
    .filter((site) => !site.connected)
    .map((site) => site.failure ?? "not yet")
    .slice(0, APART_MAX);

/** Each site in its turn, spread over the second. */
function load(putsPerSecond: number, valueBytes: number): void {
  clearInterval(timer);
  if (putsPerSecond === 0) return;
  const filling = "x".repeat(Math.max(0, valueBytes - 14));
  let owed = 0;
  let next = 0;
  let last = performance.now();
  timer = setInterval(() => {
    const now = performance.now();
    // By the clock: on a busy machine a turn may come late. What a second left undone is let go.
    owed = Math.min(owed + (sites.length * putsPerSecond * (now - last)) / 1_000, sites.length * putsPerSecond);
    last = now;
    for (; owed >= 1; owed--) {
      const site = sites[next++ % sites.length];
      // The wall clock, because the hub's watcher is another process of this machine.
      site?.put(`load/${next % 100}`, `${Date.now()}.${filling}`).then(
        () => puts++,
        () => failed++,
      );
    }
  }, TURN_MS);
}
