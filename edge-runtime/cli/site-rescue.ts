/** `openclaw site rescue`: revives a site that lost its majority (S6). */
import type { Command } from "commander";
import type { RescuePlanned } from "../rescue/rescue.ts";
import { ApiClient } from "./client.ts";
import { requireNoLink, siteAt } from "./lost-site.ts";
import { type MakingCluster, makingCluster, placeOf, printMade } from "./making-cluster.ts";
import { collected, examples, print } from "./reach.ts";

interface RescueOptions extends MakingCluster {
  readonly survivor: readonly string[];
  readonly hub?: string;
  readonly hubToken?: string;
  readonly offline?: boolean;
  readonly dead: readonly string[];
  readonly to?: string;
}

export function addSiteRescue(site: Command, name: string): void {
  const command = site
    .command("rescue")
    .description("revive a cluster that lost its majority, from the folder of a node that is left; it must be stopped")
    .requiredOption(
      "--survivor <config>",
      "the configuration of a node that is left; repeat it, and the one that knows most is taken",
      collected,
    )
    .option("--hub <url>", "a node of its hub: what the hub has above the survivor is taken first")
    .option("--hub-token <jwt>", "a token of the hub's with the admin claim (default: OPENCLAW_TOKEN)")
    .option("--offline", "without the hub; every other member has to be named with --dead")
    .option("--dead <node>", "a member that is lost for good; repeat it", collected, []);
  makingCluster(command, {
    folder: "--to",
    what: "cluster",
    live: "another member still answers, or has a link with the hub",
    dryRun: "read and check all of it, and say what would be made, and what each side lacks",
  })
    .addHelpText(
      "after",
      `${examples(
        `${name} site rescue --survivor ./shop-2/config.yaml --hub http://hub:8101 --dry-run`,
        `${name} site rescue --survivor ./shop-2/config.yaml --hub http://hub:8101 --to ./rescued --key ./keys/cluster.key`,
        `${name} site rescue --survivor ./shop-2/config.yaml --offline --dead shop-1 --dead shop-3 --to ./rescued --key …`,
      )}\n
A new epoch begins at the most that survivor or hub has. Members of the one before are refused by the hub, and stop when
they meet it. Of two rescues the first to reach the hub goes on; docs/forks-and-restores.md says what becomes of the other.`,
    )
    .action((options: RescueOptions) => rescue(options, command, name));
}

async function rescue(options: RescueOptions, command: Command, name: string): Promise<void> {
  if ((options.hub === undefined) === (options.offline !== true)) return command.error("name --hub, or say --offline");
  const place = placeOf(options, options.to);
  if (place === null && options.dryRun !== true) return command.error("rescue needs --to and --key, or --dry-run");
  // Loaded only here: most commands need neither SQLite nor libp2p.
  const { MirrorSource } = await import("../rebuild/mirror-source.ts");
  const { planRescue, rescueSite } = await import("../rescue/rescue.ts");
  const { bestSurvivor } = await import("../rescue/survivor.ts");
  const token = process.env.OPENCLAW_TOKEN ?? null;
  const { survivor, config: survivorConfig } = await bestSurvivor(options.survivor);
  try {
    const { cluster } = survivor.config;
    const hub = options.hub === undefined ? null : new ApiClient([options.hub], options.hubToken ?? token);
    const source = hub === null ? null : new MirrorSource(hub, cluster);
    const plan = { survivor, source, dead: options.dead };
    if (place === null || options.dryRun === true) {
      const planned = await planRescue(plan);
      if (options.json === true) return print(JSON.stringify(planned));
      for (const line of lines(planned, true)) print(line);
      return;
    }
    if (options.besideLive !== true) {
      const { requireSilent } = await import("../rescue/survivor.ts");
      // Its members may serve where nobody can ask them from here: the hub would know.
      if (hub !== null) requireNoLink(await siteAt(hub, cluster), "RESCUE_REFUSED");
      await requireSilent(survivor, (http) => new ApiClient([http], token).json({ method: "GET", path: "/v1/status" }));
    }
    const done = await rescueSite({ ...place, ...plan, survivorConfig });
    await printMade(done, { ...options, name, directory: place.directory }, [
      ...lines(done, false),
      `content hash ${done.contentHash}`,
    ]);
  } finally {
    await survivor.close();
  }
}

function lines(planned: RescuePlanned, look: boolean): string[] {
  const { cluster, epoch, fenced, survivor, parent, onlyAtParent, onlyAtSurvivor } = planned;
  const lacking = (onlyAtParent?.items ?? []).flatMap((item) =>
    "lacking" in item ? [`  ${item.from} to ${item.to}: not there as they were written (${item.lacking})`] : [],
  );
  return [
    `${cluster} ${look ? "would go on" : "goes on"} from revision ${epoch.departure} in epoch ${epoch.counter} (${epoch.nonce})`,
    `survivor ${survivor.node}: revision ${survivor.revision}; hub: ${parent === null ? "not asked" : `revision ${parent.revision}`}`,
    ...(survivor.lost === 0
      ? []
      : [`! its log has lost ${survivor.lost} entries at its end, which it may have acknowledged`]),
    onlyAtParent === null
      ? "only at the hub: nothing"
      : `only at the hub, taken: revisions ${onlyAtParent.from} to ${onlyAtParent.to}`,
    ...lacking,
    onlyAtSurvivor === null
      ? `only at the survivor: ${parent === null ? "not known" : "nothing"}`
      : `only at the survivor, shipped when it runs: revisions ${onlyAtSurvivor.from} to ${onlyAtSurvivor.to}`,
    `fenced: ${fenced.join(", ") || "nobody"}`,
  ];
}
