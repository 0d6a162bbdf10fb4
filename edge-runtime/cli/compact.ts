/** `openclaw compact`: forgets what was before a revision. */
import type { Command } from "commander";
import { clientOf, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";

export function addCompact(program: Command): void {
  reaching(program.command("compact").argument("<revision>", "the first one that is kept", wholeNumber))
    .description("forget what was before a revision: reads and watches of it are refused COMPACTED")
    .addHelpText("after", examples("openclaw compact 1000"))
    .action(async (revision: number, options: Reach) => {
      const body = Buffer.from(JSON.stringify({ revision }));
      const headers = { "content-type": "application/json" };
      print(JSON.stringify(await clientOf(options).json({ method: "POST", path: "/v1/compact", body, headers })));
    });
}
