/** `openclaw history`: what was under a key. */
import type { Command } from "commander";
import { z } from "zod";
import { clientOf, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";
import { keyPath, type Reading, readingOptions, readQuery } from "./reading.ts";

const LIMIT_DEFAULT = 20;

const Answer = z.object({
  more: z.boolean(),
  versions: z.array(
    z.looseObject({
      revision: z.number(),
      deleted: z.boolean(),
      value: z.string().optional(),
      text: z.string().optional(),
      principal: z.string(),
      time: z.number(),
    }),
  ),
});

export function addHistory(program: Command): void {
  readingOptions(reaching(program.command("history <key>")))
    .description("what was put under a key, and deleted: newest first, with who and when")
    .option("--limit <versions>", "at most so many", wholeNumber, LIMIT_DEFAULT)
    .option("--before <revision>", "only earlier ones than that", wholeNumber)
    .option("--json", "one JSON object a line")
    .addHelpText(
      "after",
      examples(
        "openclaw history till/1",
        "openclaw history till/1 --before 17 --limit 100 --json",
        "openclaw history till/1 --origin shop",
      ),
    )
    .action(async (key: string, options: Reach & Reading & { limit: number; before?: number; json?: boolean }) => {
      const query = readQuery(options, [
        ["limit", String(options.limit)],
        ["before", options.before === undefined ? undefined : String(options.before)],
      ]);
      const path = `${keyPath(key, "/v1/history")}${query}`;
      const { versions, more } = Answer.parse(await clientOf(options).json({ method: "GET", path }));
      for (const version of versions) print(options.json === true ? JSON.stringify(version) : line(version));
      const last = versions.at(-1);
      if (more && last !== undefined) process.stderr.write(`there is more; go on with --before ${last.revision}\n`);
    });
}

function line({ revision, deleted, value, text, principal, time }: z.infer<typeof Answer>["versions"][number]): string {
  const what = deleted ? "delete" : `put ${text ?? `base64:${value}`}`;
  return `${revision} ${when(time)} ${principal} ${what}`;
}

/** A clock may say anything. */
const when = (time: number): string => {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString();
};
