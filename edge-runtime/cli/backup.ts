/** `openclaw backup`, `openclaw backup verify`. */
import type { Command } from "commander";
import { EXIT } from "./failure.ts";
import { progressBar } from "./progress.ts";
import { clientOf, examples, print, type Reach, reaching } from "./reach.ts";

interface BackupOptions extends Reach {
  readonly follow?: boolean;
  readonly hash: boolean;
  readonly json?: boolean;
}

export function addBackup(program: Command): void {
  const backup = reaching(program.command("backup"))
    .argument("<folder>", "where the backup is, or is to be")
    .description("back a serving cluster up into a folder; run again, it goes on from there")
    .option("--follow", "go on until Ctrl-C: every two seconds what is new")
    .option("--no-hash", "do not record a hash of the live content, for which a node reads all of its state")
    .option("--json", "the result as JSON")
    .addHelpText(
      "after",
      `${examples(
        "openclaw backup ./shop-backup",
        "openclaw backup ./shop-backup --follow --endpoint http://10.0.0.5:8101",
        "openclaw backup verify ./shop-backup",
      )}\n\nNeeds a token with the admin claim, where nodes ask for tokens. docs/backup.md says what to keep, and where.`,
    )
    .action(async (folder: string, options: BackupOptions) => {
      // Loaded only here: most commands need no SQLite.
      const { backUp } = await import("../backup/backup.ts");
      const { BackupSource } = await import("../backup/source.ts");
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
      const bar = progressBar("revisions");
      const done = await backUp({
        folder,
        source: new BackupSource(clientOf(options)),
        hash: options.hash,
        follow: options.follow === true,
        signal: stop.signal,
        progress: (revision, of) => bar.show(revision, of),
        warn: (line) => void process.stderr.write(`${line}; trying again\n`),
      }).finally(() => bar.stop());
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
}

const rangeText = ({ first, last }: { readonly first: number | null; readonly last: number | null }): string =>
  first === null ? "no revisions yet" : `revisions ${first} to ${last}`;
