/** `openclaw site rescue`: revives a site that lost its majority (S6). */
import type { Command } from "commander";
import type { RescuePlanned } from "../rescue/rescue.ts";
import { ApiClient } from "./client.ts";
import { collected, examples, print, wholeNumber } from "./reach.ts";

interface RescueOptions {
  readonly survivor: readonly string[];
  readonly hub?: string;
  readonly hubToken?: string;
  readonly offline?: boolean;
  readonly dead: readonly string[];
  readonly to?: string;
  readonly key?: string;
  readonly operatorKey?: string;
  readonly host: string;
  readonly httpPort: number;
  readonly p2pPort: number;
  readonly wsPort: number;
  readonly besideLive?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function addSiteRescue(site: Command, name: string): void {
  site
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
    .option("--dead <node>", "a member that is lost for good; repeat it", collected, [])
    .option("--to <folder>", "where to put the new cluster; it must not be there, or be empty")
    .option("--key <file>", "the cluster's cluster.key")
    .option("--operator-key <file>", "the cluster's operator.key, so that tokens stay valid (default: a new one)")
    .option("--host <address>", "address that the node listens at", "127.0.0.1")
    .option("--http-port <port>", "of the HTTP API", wholeNumber, 8_101)
    .option("--p2p-port <port>", "of the other members", wholeNumber, 9_101)
    .option("--ws-port <port>", "of browsers", wholeNumber, 9_201)
    .option("--beside-live", "also while another member still answers, as for a drill: keep the two apart")
    .option("--dry-run", "read and check all of it, and say what would be made, and what each side lacks")
    .option("--json", "the result as JSON")
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
    .action((options: RescueOptions, command: Command) => rescue(options, command, name));
}

async function rescue(options: RescueOptions, command: Command, name: string): Promise<void> {
  if ((options.hub === undefined) === (options.offline !== true)) return command.error("name --hub, or say --offline");
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
    if (options.dryRun === true) {
      const planned = await planRescue(plan);
      if (options.json === true) return print(JSON.stringify(shownOf(planned)));
      for (const line of lines(planned, true)) print(line);
      return;
    }
    const { to, key } = options;
    if (to === undefined || key === undefined) return command.error("rescue needs --to and --key, or --dry-run");
    if (options.besideLive !== true) {
      const { requireSilent } = await import("../rescue/survivor.ts");
      await requireSilent(survivor, (http) => new ApiClient([http], token).json({ method: "GET", path: "/v1/status" }));
    }
    const operatorKey = options.operatorKey ?? null;
    const done = await rescueSite({ ...options, ...plan, survivorConfig, directory: to, key, operatorKey });
    if (options.json === true)
      return print(JSON.stringify({ ...shownOf(done), contentHash: done.contentHash, node: done.node }));
    for (const line of lines(done, false)) print(line);
    print(`content hash ${done.contentHash}`);
    print(`Start it with: ${name} node start --config ${done.node.config}`);
    print(`Then add members: ${name} member invite --dir ${to} --endpoint ${done.node.http}`);
    if (done.secured) print(`Callers need a token: export OPENCLAW_TOKEN=$(${name} token --dir ${to})`);
  } finally {
    await survivor.close();
  }
}

const shownOf = ({ onlyAtParent, ...planned }: RescuePlanned) => ({
  ...planned,
  onlyAtParent:
    onlyAtParent === null
      ? null
      : {
          from: onlyAtParent.from,
          to: onlyAtParent.to,
          items: onlyAtParent.items.map((item) =>
            item.kind === "body" ? { revision: item.revision } : { from: item.from, to: item.to, lacking: item.reason },
          ),
        },
});

function lines(planned: RescuePlanned, look: boolean): string[] {
  const { cluster, epoch, fenced, survivor, parent, onlyAtParent, onlyAtSurvivor } = planned;
  const lacking = (onlyAtParent?.items ?? []).flatMap((item) =>
    item.kind === "gap" ? [`  ${item.from} to ${item.to}: not there as they were written (${item.reason})`] : [],
  );
  return [
    `${cluster} ${look ? "would go on" : "goes on"} from revision ${epoch.departure} in epoch ${epoch.counter} (${epoch.nonce})`,
    `survivor ${survivor.node}: revision ${survivor.revision}; hub: ${parent === null ? "not asked" : `revision ${parent.revision}`}`,
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
