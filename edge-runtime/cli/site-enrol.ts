/** `openclaw site enrol`: tokens for new sites. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Command } from "commander";
import { z } from "zod";
import { loadConfig } from "../config.ts";
import { siteTokens } from "../enrol.ts";
import { configsIn } from "../init.ts";
import { clientOf, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";

const Members = z.object({
  cluster: z.string(),
  members: z.array(z.object({ node: z.string(), peer: z.string().nullable(), addresses: z.array(z.string()) })),
});

interface EnrolOptions extends Reach {
  readonly dir: string;
  readonly count: number;
  readonly name?: string;
  readonly approve?: boolean;
  readonly json?: boolean;
}

export function addSiteEnrol(site: Command): void {
  reaching(site.command("enrol"))
    .description("print tokens, each of which lets one site in; needs this cluster's folder with cluster.key")
    .requiredOption("--dir <folder>", "this cluster's folder")
    .option("--count <tokens>", "so many", wholeNumber, 1)
    .option("--name <site>", "for a site of this name only")
    .option("--approve", "the site is in when it comes; else it waits for `site approve`")
    .option("--json", "one JSON object a line")
    .addHelpText(
      "after",
      `\nA token is a secret until it is used: who has one can bring a site of any name, unless --name says which.\n${examples(
        "openclaw site enrol --dir ./hub --count 20 > tokens",
        "openclaw site enrol --dir ./hub --name shop-7 --approve",
      )}`,
    )
    .action(async (options: EnrolOptions) => {
      const { dir: directory, count, name: site = null, approve: approved = false } = options;
      const members = await membersNow(options);
      for (const token of await siteTokens({ directory, count, site, approved, members }))
        print(options.json === true ? JSON.stringify({ token, site, approved }) : token);
    });
}

/** Where the nodes are, if one of this cluster can be asked; else what the folder says is all that is known. */
async function membersNow(options: EnrolOptions): Promise<z.infer<typeof Members>["members"] | null> {
  const [file] = await configsIn(options.dir);
  if (file === undefined) throw new OpenClawError("CONFIG_INVALID", `${options.dir} holds no cluster`);
  const { cluster } = await loadConfig(file);
  try {
    const answer = Members.parse(await clientOf(options).json({ method: "GET", path: "/v1/members" }));
    if (answer.cluster === cluster) return answer.members;
    throw new OpenClawError("WRONG_CLUSTER", `${options.endpoint.join(", ")} is of ${answer.cluster}`);
  } catch (error) {
    if (!(error instanceof OpenClawError)) throw error;
    process.stderr.write(`The tokens name the nodes of ${options.dir} only: ${error.message}\n`);
    return null;
  }
}
