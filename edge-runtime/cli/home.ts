/** `openclaw home …`: where the keys of a prefix are written. */
import { HOMES } from "@openclaw/core/ledger/record.ts";
import { Argument, type Command } from "commander";
import { z } from "zod";
import { clientOf, collected, examples, print, type Reach, reaching } from "./reach.ts";
import { table } from "./status.ts";

const Answer = z.object({
  mirrored: z.number().nullable(),
  homes: z.array(
    z.object({
      prefix: z.string().nullable(),
      prefixBase64: z.string().optional(),
      home: z.enum(HOMES),
      owner: z.string(),
      open: z.boolean(),
      waiting: z.array(z.string()),
    }),
  ),
});

const Looked = z.object({ owner: z.string(), keys: z.number() });

interface SetOptions {
  readonly without?: string[];
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function addHome(program: Command): void {
  const home = program.command("home").description("list, and set, where the keys of a prefix are written");
  reaching(home.command("list"))
    .description("the prefixes that are written elsewhere, or never leave this cluster")
    .option("--json", "as JSON")
    .addHelpText("after", examples("openclaw home list", "openclaw home list --json"))
    .action(async (options: Reach & { json?: boolean }) => {
      const answer = await clientOf(options).json({ method: "GET", path: "/v1/homes" });
      print(options.json === true ? JSON.stringify(answer) : homesText(Answer.parse(answer)));
    });
  reaching(
    home
      .command("set")
      .argument("<prefix>", "the longest one that a key has is the one that counts")
      .addArgument(new Argument("<home>", "where it is written").choices(HOMES)),
  )
    .description("say where the keys of a prefix are written")
    .option(
      "--without <cluster>",
      "with hub: a child that is gone, and will not release the prefix; with site: the owner, where it is gone; repeat it",
      collected,
    )
    .option("--dry-run", "say whose keys they are now, and change nothing")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `${examples(
        "openclaw home set config/ hub --endpoint http://hub.example:8101",
        "openclaw home set payroll/ private --endpoint http://shop.example:8101",
        "openclaw home set config/ site --without hub --dry-run --endpoint http://shop.example:8101",
      )}\n
hub      asked of a hub: it owns the prefix, and the clusters below it read a mirror; what they write is queued for it
site     each cluster has its own (the default). Asked of a site whose hub is gone for good, with --without HUB: the mirror's
         keys become its own, and what it queued for the hub is OUTCOME_UNKNOWN
private  this cluster's own, and it never leaves it: only while there are no keys under the prefix`,
    )
    .action(async (prefix: string, where: string, options: Reach & SetOptions) => {
      const dryRun = options.dryRun === true;
      const asked = {
        prefix,
        home: where,
        dryRun,
        ...(options.without === undefined ? {} : { without: options.without }),
      };
      const body = Buffer.from(JSON.stringify(asked));
      const headers = { "content-type": "application/json" };
      const answer = await clientOf(options).json({ method: "PUT", path: "/v1/homes", body, headers });
      print(
        options.json === true ? JSON.stringify(answer) : setText(prefix, where, dryRun ? Looked.parse(answer) : null),
      );
    });
}

const setText = (prefix: string, where: string, looked: z.infer<typeof Looked> | null): string =>
  looked === null
    ? `${prefix} is ${where}`
    : `${prefix} would be ${where}; it is ${looked.owner}'s now, which has ${looked.keys} keys there`;

function homesText({ homes }: z.infer<typeof Answer>): string {
  if (homes.length === 0) return "every key is each cluster's own";
  const rows = homes.map(({ prefix, prefixBase64, home, owner, open, waiting }) => [
    prefix ?? `base64 ${prefixBase64 ?? ""}`,
    home,
    owner,
    open ? "open" : waiting.length === 0 ? "moving" : `waits for ${waiting.join(", ")}`,
  ]);
  return table([["prefix", "home", "owner", ""], ...rows]).join("\n");
}
