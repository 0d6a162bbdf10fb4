/** `openclaw site rebuild`: a lost site again, from what its hub holds of it. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isClusterId } from "@openclaw/core/ids.ts";
import type { Command } from "commander";
import { z } from "zod";
import type { Held, Lacking, Planned } from "../rebuild/rebuild.ts";
import { ApiClient } from "./client.ts";
import { requireNoLink, siteAt } from "./lost-site.ts";
import { type MakingCluster, makingCluster, placeOf, printMade } from "./making-cluster.ts";
import { progressBar } from "./progress.ts";
import { examples, print } from "./reach.ts";

interface RebuildOptions extends MakingCluster {
  readonly from: readonly string[];
  readonly token?: string;
  readonly data?: string;
}

/** Runs of lacking revisions that are printed; --json has more. */
const RUNS_PRINTED_MAX = 20;

export function addSiteRebuild(site: Command, name: string): void {
  const command = site
    .command("rebuild <site>")
    .description("make a lost site again from its hub: one node with exactly what the last shipped revision left")
    .requiredOption("--from <url>", "a hub node's HTTP address; several with commas", (value: string) =>
      value.split(","),
    )
    .option("--token <jwt>", "a token of the hub's with the admin claim (default: OPENCLAW_TOKEN)");
  makingCluster(command, {
    folder: "--data",
    what: "site",
    live: "the hub has a link with the site",
    dryRun: "read and check all of it, and say what would be made, and what is lacking",
  })
    .addHelpText(
      "after",
      `${examples(
        `${name} site rebuild california --from http://hub:8101 --dry-run`,
        `${name} site rebuild california --from http://hub:8101 --data ./california --key ./keys/cluster.key`,
      )}\n\nThe hub refuses the site's old nodes from then on; one that is still there stops when it meets the new epoch.`,
    )
    .action((lost: string, options: RebuildOptions) => rebuild(lost, options, command, name));
}

async function rebuild(site: string, options: RebuildOptions, command: Command, name: string): Promise<void> {
  if (!isClusterId(site)) throw new OpenClawError("BAD_REQUEST", `${site} is no site's name`);
  const place = placeOf(options, options.data);
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
  if (place === null) return command.error("rebuild needs --data and --key, or --dry-run");
  await requireLost(hub, site, place.key, options.besideLive === true);
  const { applyVersion } = Status.parse(await hub.json({ method: "GET", path: "/v1/status" }));
  const done = await rebuildSite({
    ...place,
    site,
    source,
    applyVersion,
    progress,
  }).finally(() => bar.stop());
  await printMade(done, { ...options, name, directory: place.directory }, [
    `rebuilt ${heldText(done)}`,
    ...lackingText(done.runs),
    `content hash ${done.contentHash}; epoch ${done.epoch.counter}; records from revision ${done.first} on`,
    `Put it below its hub: ${name} sync join TOKEN --dir ${place.directory}`,
  ]);
}

const Status = z.object({ applyVersion: z.int().min(1) });
/** @throws OpenClawError RESTORE_REFUSED */
async function requireLost(hub: ApiClient, name: string, key: string, drill: boolean): Promise<void> {
  const site = await siteAt(hub, name);
  if (!drill) requireNoLink(site, "RESTORE_REFUSED");
  if (site === null || site.clusterKey === null) return;
  const { ClusterKey } = await import("../network/identity.ts");
  if (site.clusterKey !== (await ClusterKey.load(key)).publicKey.hex)
    throw new OpenClawError("RESTORE_REFUSED", `${key} is not the key of ${name}: the hub would not let the node in`);
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
