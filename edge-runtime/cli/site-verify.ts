/** `openclaw site verify`: whether a hub holds what a site wrote. */
import { writeFile } from "node:fs/promises";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { Command } from "commander";
import { z } from "zod";
import { BackupSource, type Standing } from "../backup/source.ts";
import { type Compared, compareLedgers } from "../rebuild/compare.ts";
import { MirrorSource } from "../rebuild/mirror-source.ts";
import { ApiClient } from "./client.ts";
import { EXIT } from "./failure.ts";
import { progressBar } from "./progress.ts";
import { clientOf, collected, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";

interface SiteVerifyOptions extends Reach {
  readonly site?: readonly string[];
  readonly siteToken?: string;
  readonly from: number;
  readonly to?: number;
  readonly report?: string;
  readonly json?: boolean;
}

export function addSiteVerify(site: Command): void {
  reaching(site.command("verify <site>"))
    .description("compare a site's ledger with what its hub holds of it, and name the first difference")
    .option(
      "--site <url>",
      "a site's HTTP address; may be repeated (default: what the hub hears of the site)",
      collected,
    )
    .option("--site-token <jwt>", "a token of the site's (default: OPENCLAW_SITE_TOKEN)")
    .option("--from <revision>", "begin here", wholeNumber, 1)
    .option("--to <revision>", "end here (default: where the hub is)", wholeNumber)
    .option("--report <file>", "where to write the report (default: SITE-verify.json)")
    .option("--json", "the report on standard output, too")
    .addHelpText(
      "after",
      `${examples(
        "openclaw site verify california --endpoint http://hub:8101",
        "openclaw site verify california --from 1000 --to 2000 --site http://10.0.0.5:8101",
      )}\nNeeds tokens with the admin claim where nodes ask for tokens.\nExit codes: 0 they are the same, 1 they differ`,
    )
    .action(verify);
}

async function verify(name: string, options: SiteVerifyOptions): Promise<void> {
  if (options.from < 1) throw new OpenClawError("BAD_REQUEST", "the first revision is 1");
  const hub = clientOf(options);
  const token = options.siteToken ?? process.env.OPENCLAW_SITE_TOKEN ?? null;
  const site = new BackupSource(new ApiClient(options.site ?? (await heardOf(hub, name)), token));
  const standing = await site.standing();
  if (standing.cluster !== name) throw new OpenClawError("WRONG_CLUSTER", `${standing.cluster} answered for ${name}`);
  const mirror = new MirrorSource(hub, name);
  // What the site has compacted cannot be compared.
  const from = Math.max(options.from, standing.compacted, 1);
  const { link } = await mirror.page(from);
  if (link === null) throw new OpenClawError("NOT_FOUND", `no ledger of ${name} came there`);
  const to = Math.min(options.to ?? link.cursor, link.cursor);
  const bar = progressBar("revisions");
  const compared = await compareLedgers({
    hub: mirror.pages(from),
    site: records(site, standing, from),
    from,
    to,
    progress: (revision, of) => bar.show(revision, of),
  }).finally(() => bar.stop());
  const report = {
    site: name,
    at: new Date().toISOString(),
    hub: { epoch: link.epoch.counter, cursor: link.cursor },
    own: { epoch: standing.epoch.counter, revision: standing.revision, compacted: standing.compacted },
    ...compared,
  };
  const file = options.report ?? `${name}-verify.json`;
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
  print(options.json === true ? JSON.stringify(report) : text(name, compared, file));
  if (compared.difference !== null) process.exitCode = EXIT.refused;
}

function text(name: string, { from, to, bodies, gaps, difference }: Compared, file: string): string {
  if (difference !== null)
    return `${name}: revision ${difference.revision} differs (${difference.kind}): ${difference.details}; report in ${file}`;
  if (to < from) return `${name}: nothing is there to compare; report in ${file}`;
  const others = Object.entries(gaps).map(([reason, count]) => `${count} ${reason}`);
  const held = [`${bodies} as bodies`, ...others].join(", ");
  return `${name}: revisions ${from} to ${to} are the same at both ends (${held}); report in ${file}`;
}

async function* records(site: BackupSource, of: Standing, from: number): AsyncGenerator<StoredRecord> {
  for (let next = from; ; ) {
    const page = await site.page(of, next);
    yield* page.records;
    const last = page.records.at(-1);
    if (last === undefined) return;
    next = last.revision + 1;
  }
}

const Sites = z.array(z.object({ cluster: z.string(), members: z.array(z.object({ http: z.string() })) }));

/** @throws OpenClawError UNAVAILABLE when the hub hears nothing of the site */
async function heardOf(hub: ApiClient, name: string): Promise<readonly string[]> {
  const sites = Sites.parse(await hub.json({ method: "GET", path: "/v1/sites" }));
  const members = sites.find(({ cluster }) => cluster === name)?.members ?? [];
  if (members.length === 0)
    throw new OpenClawError("UNAVAILABLE", `the hub hears nothing of ${name}: name --site <url>`);
  return members.map(({ http }) => http);
}
