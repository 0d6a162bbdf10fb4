/** `openclaw sync status` and `allow`: how the link to the parent stands, and what an operator allows it. */
import { Buffer } from "node:buffer";
import type { Command } from "commander";
import { z } from "zod";
import { ApiClient } from "./client.ts";
import { clientOf, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";

const Sync = z.object({
  cluster: z.string(),
  node: z.string(),
  leader: z.object({ node: z.string(), http: z.string().nullable() }).nullable(),
  parent: z
    .object({
      cluster: z.string(),
      state: z.string(),
      reason: z.string().nullable(),
      cursor: z.number(),
      revision: z.number(),
      waiting: z.object({ revisions: z.number(), bytes: z.number(), exact: z.boolean() }),
      oldest: z.object({ revision: z.number(), time: z.number() }).nullable(),
      rate: z.object({ revisionsPerSecond: z.number(), bytesPerSecond: z.number() }).nullable(),
      secondsLeft: z.number().nullable(),
      used: z.object({
        day: z.number(),
        bytes: z.number(),
        projected: z.number(),
        bytesPerDay: z.number().nullable(),
        allowed: z.number(),
        left: z.number().nullable(),
        secondsToNextDay: z.number(),
      }),
      bytesPerSecond: z.number().nullable(),
    })
    .nullable(),
  children: z.array(z.object({ cluster: z.string(), cursor: z.number() })),
});
type Sync = z.infer<typeof Sync>;

export function addSyncStatus(sync: Command): void {
  reaching(sync.command("status"))
    .description("per link: state, cursor, what waits, rate, bytes used, and why it is stopped")
    .option("--json", "as JSON")
    .addHelpText("after", examples("openclaw sync status", "openclaw sync status --json"))
    .action(async (options: Reach & { json?: boolean }) => {
      const status = await syncOf(options);
      print(options.json === true ? JSON.stringify(status) : syncText(status, Date.now()));
    });
}

export function addSyncAllow(sync: Command): void {
  reaching(sync.command("allow").argument("<bytes>", "of today, beyond uplink.bytesPerDay", wholeNumber))
    .description("let a link that used up its day go on: today, a day of log time, may use so much more")
    .addHelpText("after", examples("openclaw sync allow 50000000"))
    .action(async (bytes: number, options: Reach) => {
      const body = Buffer.from(JSON.stringify({ bytes }));
      const headers = { "content-type": "application/json" };
      print(JSON.stringify(await clientOf(options).json({ method: "POST", path: "/v1/sync/allow", body, headers })));
    });
}

/** What the leader says, where it can be reached: it has the link. */
async function syncOf(options: Reach): Promise<Sync> {
  const ask = async (client: ApiClient): Promise<Sync> =>
    Sync.parse(await client.json({ method: "GET", path: "/v1/sync" }));
  const first = await ask(clientOf(options));
  const { leader } = first;
  if (first.parent?.state !== "standby" || leader === null || leader.http === null) return first;
  return ask(new ApiClient([leader.http], options.token ?? null)).catch(() => first);
}

/** @param now wall clock, ms since 1970 */
export function syncText({ cluster, node, parent, children }: Sync, now: number): string {
  return [
    `cluster ${cluster}, asked ${node}`,
    ...(parent === null ? ["no parent"] : parentLines(parent, now)),
    ...children.map((child) => `child ${child.cluster}: its ledger is here up to revision ${child.cursor}`),
  ].join("\n");
}

function parentLines(parent: NonNullable<Sync["parent"]>, now: number): string[] {
  const { waiting, oldest, rate, used } = parent;
  const about = waiting.exact ? "" : "about ";
  const limit = parent.bytesPerSecond === null ? "" : `, at most ${bytesText(parent.bytesPerSecond)}/s`;
  return [
    `parent ${parent.cluster}: ${parent.state}${parent.reason === null ? "" : `: ${parent.reason}`}`,
    `  cursor      ${parent.cursor} of ${parent.revision}`,
    `  to drain    ${waiting.revisions} revisions, ${about}${bytesText(waiting.bytes)}`,
    `  oldest      ${oldest === null ? "nothing waits" : `revision ${oldest.revision}, written ${ago(now - oldest.time)} ago`}`,
    `  rate        ${rate === null ? "nothing was taken lately" : `${rate.revisionsPerSecond.toFixed(0)} revisions/s, ${bytesText(rate.bytesPerSecond)}/s`}${limit}`,
    `  time left   ${parent.secondsLeft === null ? "unknown" : ago(parent.secondsLeft * 1_000)}`,
    `  used today  ${bytesText(used.bytes)}${budgetText(used)}; projected ${bytesText(used.projected)}; the next day begins in ${ago(used.secondsToNextDay * 1_000)}`,
  ];
}

function budgetText({ bytesPerDay, allowed }: NonNullable<Sync["parent"]>["used"]): string {
  if (bytesPerDay === null) return ", no budget";
  return ` of ${bytesText(bytesPerDay)}${allowed === 0 ? "" : ` and ${bytesText(allowed)} that an operator allowed`}`;
}

function bytesText(bytes: number): string {
  if (bytes < 10_000) return `${Math.round(bytes)} B`;
  if (bytes < 10_000_000) return `${(bytes / 1_000).toFixed(0)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function ago(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  if (seconds < 7_200) return `${(seconds / 60).toFixed(0)} min`;
  return seconds < 172_800 ? `${(seconds / 3_600).toFixed(1)} h` : `${(seconds / 86_400).toFixed(1)} d`;
}
