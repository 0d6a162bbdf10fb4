/** `openclaw backup`, `openclaw backup verify`. */
import type { Command } from "commander";
import type { Holdings } from "../backup/runs.ts";
import { EXIT } from "./failure.ts";
import { progressBar } from "./progress.ts";
import { clientOf, examples, print, type Reach, reaching } from "./reach.ts";

interface BackupOptions extends Reach {
  readonly follow?: boolean;
  readonly full?: boolean;
  readonly hash: boolean;
  readonly json?: boolean;
}

export function addBackup(program: Command): void {
  const backup = reaching(program.command("backup"))
    .argument("<folder>", "where the backup is, or is to be")
    .description("back a serving cluster up into a folder; run again, it goes on from there")
    .option("--follow", "go on until Ctrl-C: every two seconds what is new")
    .option("--full", "begin with a new base, a copy of the content as it stands, also where the backup could go on")
    .option("--no-hash", "do not record a hash of the live content, for which a node reads all of its state")
    .option("--json", "the result as JSON")
    .addHelpText(
      "after",
      `${examples(
        "openclaw backup ./shop-backup",
        "openclaw backup ./shop-backup --follow --endpoint http://10.0.0.5:8101",
        "openclaw backup ./shop-backup --full",
        "openclaw backup verify ./shop-backup",
        "openclaw backup prune ./shop-backup",
      )}\n\nNeeds a token with the admin claim, where nodes ask for tokens. docs/backup.md says what to keep, and where.`,
    )
    .action(async (folder: string, options: BackupOptions) => {
      // Loaded only here: most commands need no SQLite.
      const { backUp } = await import("../backup/backup.ts");
      const { BackupSource } = await import("../backup/source.ts");
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
      const bar = progressBar("revisions");
      const received = progressBar("bytes of the base");
      const done = await backUp({
        folder,
        source: new BackupSource(clientOf(options)),
        full: options.full === true,
        hash: options.hash,
        follow: options.follow === true,
        signal: stop.signal,
        progress: (revision, of) => {
          received.stop();
          bar.show(revision, of);
        },
        receiving: (bytes) => received.show(bytes, bytes),
        warn: (line) => void process.stderr.write(`${line}; trying again\n`),
      }).finally(() => {
        received.stop();
        bar.stop();
      });
      if (options.json === true) print(JSON.stringify(done));
      else print(`${done.cluster}: ${rangeText(done)}, ${done.bytes} bytes; ${done.added} revisions new`);
      if (options.follow === true || done.complete) return;
      process.stderr.write("ended before it had everything; run it again, it goes on from there\n");
      process.exitCode = EXIT.retry;
    });

  backup
    .command("verify <folder>")
    .description("read every byte of a backup, and name the first wrong file and revision")
    .option("--json", "the result as JSON")
    .addHelpText("after", examples("openclaw backup verify ./shop-backup"))
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { verifyBackup } = await import("../backup/verify.ts");
      const bar = progressBar("bytes");
      const found = await verifyBackup(folder, (done, of) => bar.show(done, of)).finally(() => bar.stop());
      if (json === true) print(JSON.stringify(found));
      else print(`${found.cluster}: ${rangeText(found)}, ${found.bytes} bytes; every one of them is right`);
    });

  backup
    .command("prune <folder>")
    .description("remove what comes before the newest base: earlier revisions can no longer be restored")
    .option("--json", "the result as JSON")
    .addHelpText("after", examples("openclaw backup ./shop-backup --full", "openclaw backup prune ./shop-backup"))
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { pruneBackup } = await import("../backup/prune.ts");
      const left = await pruneBackup(folder);
      if (json === true) print(JSON.stringify(left));
      else print(`${left.cluster}: ${rangeText(left)}, ${left.bytes} bytes; ${left.removed} files are gone`);
    });
}

function rangeText({ first, last, gaps }: Pick<Holdings, "first" | "last" | "gaps">): string {
  if (first === null) return "no revisions yet";
  const without = gaps.map((gap) => `${gap.first} to ${gap.last}`).join(", ");
  return `revisions ${first} to ${last}${without === "" ? "" : ` without ${without}`}`;
}
