/** `openclaw restore`. */
import type { Command } from "commander";
import { ApiClient } from "./client.ts";
import { progressBar } from "./progress.ts";
import { examples, print, wholeNumber } from "./reach.ts";

interface RestoreOptions {
  readonly to?: string;
  readonly at: string;
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

export function addRestore(program: Command, name: string): void {
  program
    .command("restore <backup>")
    .description("make a new cluster of one node with exactly the content of a revision; needs no running node")
    .option("--to <folder>", "where to put it; it must not be there, or be empty")
    .option("--at <revision|time>", "a revision, a time such as 2026-03-01T12:00:00Z, or latest", "latest")
    .option("--key <file>", "the cluster's cluster.key")
    .option("--operator-key <file>", "the cluster's operator.key, so that tokens stay valid (default: a new one)")
    .option("--host <address>", "address that the node listens at", "127.0.0.1")
    .option("--http-port <port>", "of the HTTP API", wholeNumber, 8_101)
    .option("--p2p-port <port>", "of the other members", wholeNumber, 9_101)
    .option("--ws-port <port>", "of browsers", wholeNumber, 9_201)
    .option("--beside-live", "also while members of the cluster still serve, as for a drill: keep the two apart")
    .option("--dry-run", "check the backup, and say what would be restored")
    .option("--json", "the result as JSON")
    .addHelpText(
      "after",
      `${examples(
        "openclaw restore ./shop-backup --at 2026-03-01T12:00:00Z --dry-run",
        "openclaw restore ./shop-backup --to ./shop --key ./keys/cluster.key",
        "openclaw restore ./shop-backup --at 4711 --to ./shop --key ./keys/cluster.key --host 10.0.0.1",
      )}\n\ndocs/backup.md says what to do after a disaster, step by step.`,
    )
    .action(async (backup: string, options: RestoreOptions, command: Command) => {
      // Loaded only here: most commands need neither SQLite nor libp2p.
      const { parseAt } = await import("../backup/moment.ts");
      const { planRestore, restoreBackup } = await import("../backup/restore.ts");
      const at = parseAt(options.at);
      if (options.dryRun === true) {
        const planned = await planRestore(backup, at);
        print(options.json === true ? JSON.stringify(planned) : `would restore ${momentText(planned)}`);
        return;
      }
      const { to, key } = options;
      if (to === undefined || key === undefined) return command.error("restore needs --to and --key, or --dry-run");
      if (options.besideLive !== true) await requireStopped(backup);
      const bar = progressBar("revisions");
      const done = await restoreBackup({
        ...options,
        backup,
        at,
        directory: to,
        key,
        operatorKey: options.operatorKey ?? null,
        progress: (revision, of) => bar.show(revision, of),
      }).finally(() => bar.stop());
      if (options.json === true) return print(JSON.stringify(done));
      print(`restored ${momentText(done)}`);
      const recorded = done.recordedLive ? ", as it was recorded live" : "";
      print(`content hash ${done.contentHash}${recorded}; epoch ${done.epoch.counter}`);
      print(`Start it with: ${name} node start --config ${done.node.config}`);
      print(`Then add members: ${name} member invite --dir ${to} --endpoint ${done.node.http}`);
      if (done.secured) print(`Callers need a token: export OPENCLAW_TOKEN=$(${name} token --dir ${to})`);
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
