/** `openclaw site rebuild`: a lost site again, from what its hub holds of it. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isClusterId } from "@openclaw/core/ids.ts";
import type { Command } from "commander";
import { z } from "zod";
import type { Held, Lacking, Planned } from "../rebuild/rebuild.ts";
import { ApiClient } from "./client.ts";
import { progressBar } from "./progress.ts";
import { examples, print, wholeNumber } from "./reach.ts";

interface RebuildOptions {
  readonly from: readonly string[];
  readonly token?: string;
  readonly data?: string;
  readonly key?: string;
  readonly operatorKey?: string;
  readonly host: string;
  readonly httpPort: number;
  readonly p2pPort: number;
  readonly wsPort: number;
  readonly dryRun?: boolean;
  readonly besideLive?: boolean;
  readonly json?: boolean;
}

/** Runs of lacking revisions that are printed; --json has more. */
const RUNS_PRINTED_MAX = 20;

export function addSiteRebuild(site: Command, name: string): void {
  site
    .command("rebuild <site>")
    .description("make a lost site again from its hub: one node with exactly what the last shipped revision left")
    .requiredOption("--from <url>", "a hub node's HTTP address; several with commas", (value: string) =>
      value.split(","),
    )
    .option("--token <jwt>", "a token of the hub's with the admin claim (default: OPENCLAW_TOKEN)")
    .option("--data <folder>", "where to put the site; it must not be there, or be empty")
    .option("--key <file>", "the site's cluster.key")
    .option("--operator-key <file>", "the site's operator.key, so that tokens stay valid (default: a new one)")
    .option("--host <address>", "address that the node listens at", "127.0.0.1")
    .option("--http-port <port>", "of the HTTP API", wholeNumber, 8_101)
    .option("--p2p-port <port>", "of the other members", wholeNumber, 9_101)
    .option("--ws-port <port>", "of browsers", wholeNumber, 9_201)
    .option("--beside-live", "also while the hub has a link with the site, as for a drill: keep the two apart")
    .option("--dry-run", "read and check all of it, and say what would be made, and what is lacking")
    .option("--json", "the result as JSON")
    .addHelpText(
      "after",
      `${examples(
        `${name} site rebuild california --from http://hub:8101 --dry-run`,
        `${name} site rebuild california --from http://hub:8101 --data ./california --key ./keys/cluster.key`,
      )}\n\nThe hub refuses the site's old nodes from then on; one that is still there stops when it meets the new epoch.`,
    )
    .action((site_: string, options: RebuildOptions, command: Command) => rebuild(site_, options, command, name));
}

async function rebuild(site: string, options: RebuildOptions, command: Command, name: string): Promise<void> {
  if (!isClusterId(site)) throw new OpenClawError("BAD_REQUEST", `${site} is no site's name`);
  // Loaded only here: most commands need neither SQLite nor libp2p.
  const { MirrorSource } = await import("../rebuild/mirror-source.ts");
  const { planRebuild, rebuildSite } = await import("../rebuild/rebuild.ts");
  const hub = new ApiClient(options.from, options.token ?? process.env.OPENCLAW_TOKEN ?? null);
  const source = new MirrorSource(hub, site);
  const bar = progressBar("revisions");
  const progress = (revision: number, of: number): void => bar.show(revision, of);
  if (options.dryRun === true) {
    const planned = await planRebuild({ source, site, progress }).finally(() => bar.stop());
    if (options.json === true) print(JSON.stringify(planned));
    else for (const line of [`would rebuild ${heldText(planned)}`, ...lackingText(planned.runs)]) print(line);
    return;
  }
  const { data, key } = options;
  if (data === undefined || key === undefined) return command.error("rebuild needs --data and --key, or --dry-run");
  if (options.besideLive !== true) await requireSilent(hub, site);
  const { applyVersion } = Status.parse(await hub.json({ method: "GET", path: "/v1/status" }));
  const done = await rebuildSite({
    ...options,
    site,
    source,
    directory: data,
    key,
    operatorKey: options.operatorKey ?? null,
    applyVersion,
    progress,
  }).finally(() => bar.stop());
  if (options.json === true) return print(JSON.stringify(done));
  print(`rebuilt ${heldText(done)}`);
  for (const line of lackingText(done.runs)) print(line);
  print(`content hash ${done.contentHash}; epoch ${done.epoch.counter}; records from revision ${done.first} on`);
  print(`Put it below its hub: ${name} sync join TOKEN --dir ${data}`);
  print(`Start it with: ${name} node start --config ${done.node.config}`);
  print(`Then add members: ${name} member invite --dir ${data} --endpoint ${done.node.http}`);
  if (done.secured) print(`Callers need a token: export OPENCLAW_TOKEN=$(${name} token --dir ${data})`);
}

const Status = z.object({ applyVersion: z.int().min(1) });
const Sites = z.array(z.object({ cluster: z.string(), connected: z.boolean() }));

/** @throws OpenClawError RESTORE_REFUSED */
async function requireSilent(hub: ApiClient, site: string): Promise<void> {
  const sites = Sites.parse(await hub.json({ method: "GET", path: "/v1/sites" }));
  if (sites.some(({ cluster, connected }) => cluster === site && connected))
    throw new OpenClawError("RESTORE_REFUSED", `${site} has a link with the hub: it is not lost; stop its nodes first`);
}

function heldText({ cluster, revision, bodies, lacking }: Planned & Held): string {
  const others = Object.entries(lacking).map(([reason, count]) => `${count} lacking (${reason})`);
  return `${cluster} at revision ${revision}: ${[`${bodies} revisions as they were written`, ...others].join(", ")}`;
}

function lackingText(runs: readonly Lacking[]): string[] {
  const shown = runs.slice(0, RUNS_PRINTED_MAX).map(({ from, to, reason }) => `  ${from} to ${to}: ${WHY[reason]}`);
  return runs.length > RUNS_PRINTED_MAX ? [...shown, `  and ${runs.length - RUNS_PRINTED_MAX} more: --json`] : shown;
}

const WHY: Record<Lacking["reason"], string> = {
  private: "never left the site",
  shed: "had to make room at the site before it was shipped",
  filtered: "was kept from the hub",
  echo: "came from the hub, and comes again when the site is below it",
  skipped: "came from the hub, and comes again when the site is below it",
  known: "changed nothing at the hub: document changes that it has, and which come again where the site subscribes",
  compacted: "the hub no longer keeps it",
  snapshot: "came as a snapshot, in the place of what had made room",
  mark: "nothing",
};
