/** `openclaw compact`: forgets what was before a revision. */
import type { Command } from "commander";
import { clientOf, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";

export function addCompact(program: Command): void {
  reaching(program.command("compact").argument("<revision>", "the first one that is kept", wholeNumber))
    .description("forget what was before a revision: reads and watches of it are refused COMPACTED")
    .addHelpText(
      "after",
      `${examples("openclaw compact 1000")}\n
The state at the revision and all after it stay. There is no snapshot yet in place of what is gone (SPEC, S4):
- a browser that opens for the first time, on any device, is refused COMPACTED, and gets no events;
- a child cluster that is behind the revision, a new one too, is refused COMPACTED, and gets no events;
- a backup that lacks a revision before it ends with COMPACTED, and a fresh one cannot begin (docs/backup.md).`,
    )
    .action(async (revision: number, options: Reach) => {
      const body = Buffer.from(JSON.stringify({ revision }));
      const headers = { "content-type": "application/json" };
      print(JSON.stringify(await clientOf(options).json({ method: "POST", path: "/v1/compact", body, headers })));
    });
}
