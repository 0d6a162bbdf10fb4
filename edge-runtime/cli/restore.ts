/** `openclaw restore`. */
import type { Command } from "commander";
import { ApiClient } from "./client.ts";
import { type MakingCluster, makingCluster, placeOf, printMade } from "./making-cluster.ts";
import { progressBar } from "./progress.ts";
import { examples, print } from "./reach.ts";

interface RestoreOptions extends MakingCluster {
  readonly to?: string;
  readonly at: string;
}

export function addRestore(program: Command, name: string): void {
  const restore = program
    .command("restore <backup>")
    .description("make a new cluster of one node with exactly the content of a revision; needs no running node")
    .option("--at <revision|time>", "a revision, a time such as 2026-03-01T12:00:00Z, or latest", "latest");
  makingCluster(restore, {
    folder: "--to",
    what: "cluster",
    live: "members of the cluster still serve",
    dryRun: "check the backup, and say what would be restored",
  })
    .addHelpText(
      "after",
      `${examples(
        "openclaw restore ./shop-backup --at 2026-03-01T12:00:00Z --dry-run",
        "openclaw restore ./shop-backup --to ./shop --key ./keys/cluster.key",
        "openclaw restore ./shop-backup --at 4711 --to ./shop --key ./keys/cluster.key --host 10.0.0.1 --tls-cert gateway.crt --tls-key gateway.key",
      )}\n\ndocs/backup.md says what to do after a disaster, step by step.`,
    )
    .action(async (backup: string, options: RestoreOptions, command: Command) => {
      // Loaded only here: most commands need neither SQLite nor libp2p.
      const { parseAt } = await import("../backup/moment.ts");
      const { planRestore, restoreBackup } = await import("../backup/restore.ts");
      const at = parseAt(options.at);
      const place = placeOf(options, options.to);
      if (options.dryRun === true) {
        const planned = await planRestore(backup, at);
        print(options.json === true ? JSON.stringify(planned) : `would restore ${momentText(planned)}`);
        return;
      }
      if (place === null) return command.error("restore needs --to and --key, or --dry-run");
      if (options.besideLive !== true) await requireStopped(backup);
      const bar = progressBar("revisions");
      const done = await restoreBackup({
        ...place,
        backup,
        at,
        progress: (revision, of) => bar.show(revision, of),
      }).finally(() => bar.stop());
      const recorded = done.recordedLive ? ", as it was recorded live" : "";
      await printMade(done, { ...options, name, directory: place.directory }, [
        `restored ${momentText(done)}`,
        `content hash ${done.contentHash}${recorded}; epoch ${done.epoch.counter}`,
      ]);
    });
}

async function requireStopped(backup: string): Promise<void> {
  const { requireGone } = await import("../backup/still-serving.ts");
  const token = process.env.OPENCLAW_TOKEN ?? null;
  await requireGone(backup, (http) => new ApiClient([http], token).json({ method: "GET", path: "/v1/status" }));
}

interface Shown {
  readonly cluster: string;
  readonly revision: number;
  readonly time: number;
  readonly ambiguous: { readonly count: number; readonly first: number; readonly last: number } | null;
}

function momentText({ cluster, revision, time, ambiguous }: Shown): string {
  const moment = `${cluster} at revision ${revision}, stamped ${new Date(time).toISOString()}`;
  if (ambiguous === null) return moment;
  const { count, first, last } = ambiguous;
  return (
    `${moment}\n! ambiguous: of the revisions before it, ${count} from ${first} to ${last} are stamped later than the ` +
    "time asked for (a clock went back, or a site had been offline); --at REVISION is exact"
  );
}
