/** `openclaw sync adopt-parent`: follows a parent that has nothing to do with the one before (L3). */
import type { Command } from "commander";
import { z } from "zod";
import { lines, OnlyHere } from "./differences.ts";
import { examples, patientClientOf, print, type Reach, reaching } from "./reach.ts";

const Adopted = z.object({
  dryRun: z.boolean(),
  parent: z.string(),
  parting: z.number(),
  from: z.object({ epoch: z.string(), counter: z.number(), cursor: z.number() }),
  to: z.object({ epoch: z.string(), counter: z.number() }),
  onlyHere: OnlyHere,
  withdrawn: z.object({ above: z.number(), to: z.number() }),
});

export function addAdoptParent(sync: Command): void {
  reaching(sync.command("adopt-parent"))
    .description("follow the parent that was refused: one that was founded anew, or is another life of the one known")
    .option("--dry-run", "say what would be lost here, and what would be done")
    .option("--json", "the result as JSON")
    .addHelpText(
      "after",
      `${examples("openclaw sync adopt-parent --dry-run", "openclaw sync adopt-parent")}\n
Ask the leader of this cluster: another node answers NOT_LEADER, and the next --endpoint is tried. What came of the parent
before is put aside and stays in the ledger; its keys go, or become what they were where both part. This cluster's own
ledger is shipped from where the new parent has it. A parent that was restored is followed without this command.`,
    )
    .action(async (options: Reach & { dryRun?: boolean; json?: boolean }) => {
      const answer = await patientClientOf(options).json({
        method: "POST",
        path: "/v1/sync/adopt-parent",
        body: Buffer.from(JSON.stringify({ dryRun: options.dryRun === true })),
        headers: { "content-type": "application/json" },
      });
      if (options.json === true) return print(JSON.stringify(answer));
      const { dryRun, parent, parting, from, to, onlyHere, withdrawn } = Adopted.parse(answer);
      print(`${dryRun ? "would follow" : "follows"} ${parent} in epoch ${to.counter} (${to.epoch})`);
      print(
        `the life of epoch ${from.counter} (${from.epoch}), taken up to its revision ${from.cursor}, ends at ${parting}`,
      );
      for (const line of lines(onlyHere, "of it only here, put aside")) print(line);
      const lost = withdrawn.to - withdrawn.above;
      print(
        lost === 0
          ? "no revision of this cluster loses the rung hub"
          : `revisions ${withdrawn.above + 1} to ${withdrawn.to} of this cluster lose the rung hub until they are shipped again`,
      );
    });
}
