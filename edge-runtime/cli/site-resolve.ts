/** `openclaw site resolve`, `openclaw site lives`: which life of a site goes on (L3). */
import type { Command } from "commander";
import { z } from "zod";
import { lines as differenceLines, OnlyHere } from "./differences.ts";
import { clientOf, examples, patientClientOf, print, type Reach, reaching } from "./reach.ts";

const Life = z.object({ epoch: z.string(), counter: z.number(), departure: z.number() });
const Resolved = z.object({
  site: z.string(),
  dryRun: z.boolean(),
  parting: z.number(),
  from: Life.extend({ cursor: z.number() }),
  to: Life.extend({ revision: z.number(), refused: z.string() }),
  onlyHere: OnlyHere,
  onlyThere: z.object({ from: z.number(), to: z.number(), revisions: z.number() }),
});

const Page = z.object({ items: z.array(z.unknown()), after: z.number().nullable() });

export function addSiteResolve(site: Command): void {
  reaching(site.command("resolve <site>"))
    .description("follow another life of a site, which was refused EPOCH_BEHIND or FORK, from where both part")
    .option(
      "--epoch <nonce>",
      "the life that goes on, by the beginning of its epoch's nonce, where there are more than one",
    )
    .option("--dry-run", "say what each has that the other lacks, and what would be done")
    .option("--json", "the result as JSON")
    .addHelpText(
      "after",
      `${examples(
        "openclaw site resolve shop-7 --dry-run",
        "openclaw site resolve shop-7",
        "openclaw site resolve shop-7 --epoch 1f03",
      )}\n
What this cluster has of the other life above the parting is put aside and stays in its ledger; the keys of its mirror become
what they were there. Documents merge, so their changes stay. The life that is left is refused from then on: stop its nodes.
docs/forks-and-restores.md has every case.`,
    )
    .action(async (name: string, options: Reach & { epoch?: string; dryRun?: boolean; json?: boolean }) => {
      const body = {
        dryRun: options.dryRun === true,
        ...(options.epoch === undefined ? {} : { epoch: options.epoch }),
      };
      const answer = await patientClientOf(options).json({
        method: "POST",
        path: `/v1/sites/${encodeURIComponent(name)}/resolve`,
        body: Buffer.from(JSON.stringify(body)),
        headers: { "content-type": "application/json" },
      });
      if (options.json === true) return print(JSON.stringify(answer));
      for (const line of shown(Resolved.parse(answer))) print(line);
    });
  reaching(site.command("lives <site>"))
    .description("which life of a site is followed, which wait for a decision, and what was put aside; as JSON")
    .option("--export <epoch>", "instead, all that was put aside of a life that was left: one JSON object a revision")
    .addHelpText(
      "after",
      examples("openclaw site lives shop-7", "openclaw site lives shop-7 --export 1f03…c2 > put-aside.jsonl"),
    )
    .action(async (name: string, options: Reach & { export?: string }) => {
      if (options.export !== undefined) return exportLife(name, options.export, options);
      const path = `/v1/sites/${encodeURIComponent(name)}/lives`;
      print(JSON.stringify(await clientOf(options).json({ method: "GET", path }), null, 1));
    });
}

/** One JSON object a line. */
async function exportLife(site: string, epoch: string, options: Reach): Promise<void> {
  const client = clientOf(options);
  for (let after: number | null = 0; after !== null; ) {
    const path = `/v1/sites/${encodeURIComponent(site)}/left/${encodeURIComponent(epoch)}?after=${after}`;
    const page: z.infer<typeof Page> = Page.parse(await client.json({ method: "GET", path }));
    for (const item of page.items) print(JSON.stringify(item));
    after = page.after;
  }
}

function shown({ site, dryRun, parting, from, to, onlyHere, onlyThere }: z.infer<typeof Resolved>): string[] {
  const would = dryRun ? "would go on" : "goes on";
  return [
    `${site} ${would} in epoch ${to.counter} (${to.epoch}) from revision ${parting}`,
    `the life of epoch ${from.counter} (${from.epoch}), taken up to revision ${from.cursor}, ${dryRun ? "would be" : "is"} left`,
    ...differenceLines(onlyHere, "only here, put aside"),
    onlyThere.revisions === 0
      ? "only there: nothing"
      : `only there, and still to come: ${onlyThere.revisions} revisions, ${onlyThere.from} to ${onlyThere.to}`,
  ];
}
