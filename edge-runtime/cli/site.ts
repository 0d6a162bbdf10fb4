/** `openclaw site …`: the sites of a hub. */
import type { Command } from "commander";
import { clientOf, examples, print, type Reach, reaching } from "./reach.ts";
import { addSiteResolve } from "./site-resolve.ts";

export function addSite(program: Command): void {
  const site = program.command("site").description("the sites below this cluster");
  addList(site);
  addSiteResolve(site);
}

function addList(site: Command): void {
  reaching(site.command("list"))
    .description("every site: its state, how far its ledger is here, whether its link is up; one JSON object a line")
    .addHelpText("after", examples("openclaw site list --endpoint http://10.0.0.9:8101"))
    .action(async (options: Reach) => {
      const rows = await clientOf(options).json({ method: "GET", path: "/v1/sites" });
      for (const row of Array.isArray(rows) ? rows : []) print(JSON.stringify(row));
    });
}
