/** `openclaw ledger verify`: names the first wrong revision of a ledger, and says whether the replicas agree. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { Command } from "commander";
import { z } from "zod";
import { EXIT } from "./failure.ts";
import { type Progress, progressBar } from "./progress.ts";
import { clientOf, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";
import { table } from "./status.ts";

/** Bytes of a stopped node's ledger between two steps of the bar. */
const OFFLINE_SLICE_BYTES = 4_194_304;

const Checked = z.object({
  from: z.number(),
  sound: z.number(),
  revision: z.number(),
  done: z.boolean(),
  fault: z.object({ revision: z.number(), kind: z.string(), details: z.string() }).nullable(),
});
type Checked = z.infer<typeof Checked>;

const Compared = z.object({
  round: z.number(),
  revision: z.number(),
  verdict: z.enum(["open", "agreed", "split"]),
  voters: z.array(z.string()),
  diverged: z.array(z.string()),
  reports: z.array(z.object({ node: z.string(), found: z.string(), hash: z.string().nullable() })),
});

interface VerifyOptions extends Reach {
  readonly from?: number;
  readonly to?: number;
  readonly dataDir?: string;
  readonly replicas?: boolean;
  readonly json?: boolean;
}

type Check = (from: number, to: number | undefined) => Promise<Checked>;

export function addLedger(program: Command): void {
  const ledger = program.command("ledger").description("check the ledger");
  reaching(ledger.command("verify"))
    .description("hash a node's ledger again, and name the first revision that is not what was written")
    .option("--from <revision>", "begin here; what stands before it is taken on trust", wholeNumber)
    .option("--to <revision>", "end here", wholeNumber)
    .option("--data-dir <folder>", "the data folder of a node that is stopped, instead of a running one")
    .option("--replicas", "compare the states of all replicas of a running cluster instead")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `${examples(
        "openclaw ledger verify",
        "openclaw ledger verify --from 1000000 --endpoint http://127.0.0.1:8102",
        "openclaw ledger verify --data-dir ./shop/shop-1/data",
        "openclaw ledger verify --replicas",
      )}\nExit codes: 0 all is as it was written, 1 it is not, 3 not every replica has answered`,
    )
    .action(async (options: VerifyOptions) => {
      if (options.replicas === true) return compare(options);
      if (options.dataDir !== undefined) return offline(options.dataDir, options);
      const client = clientOf(options);
      await verify(options, async (from, to) => {
        const path = `/v1/admin/ledger-check?from=${from}${to === undefined ? "" : `&to=${to}`}`;
        return Checked.parse(await client.json({ method: "GET", path }));
      });
    });
}

async function offline(dataDir: string, options: VerifyOptions): Promise<void> {
  // Loaded only here: the other commands need no SQLite.
  const { openOfflineLedger } = await import("../storage/offline-ledger.ts");
  const stored = openOfflineLedger(dataDir);
  try {
    await verify(options, async (from, to) =>
      stored.check(revision(from), to === undefined ? null : revision(to), OFFLINE_SLICE_BYTES),
    );
  } finally {
    stored.close();
  }
}

async function verify({ from = 1, to, json }: VerifyOptions, check: Check): Promise<void> {
  if (from < 1) throw new OpenClawError("BAD_REQUEST", "the first revision is 1");
  const bar = progressBar("ledger");
  const found = await checkAll(from, to, check, bar).finally(() => bar.stop());
  const { fault, sound } = found;
  if (json === true) print(JSON.stringify({ from: found.from, sound, revision: found.revision, fault }));
  else if (fault === null) print(soundText(from, found.from, sound));
  else print(`revision ${fault.revision} is wrong (${fault.kind}): ${fault.details}`);
  if (fault !== null) process.exitCode = EXIT.refused;
}

function soundText(asked: number, from: number, sound: number): string {
  const compacted = from > asked ? `; what was before ${from} is compacted` : "";
  return sound < from
    ? `nothing is there to check${compacted}`
    : `revisions ${from} to ${sound} are as they were written${compacted}`;
}

/** `from` in what it resolves with is that of the whole. */
async function checkAll(asked: number, to: number | undefined, check: Check, bar: Progress): Promise<Checked> {
  const first = await check(asked, to);
  let found = first;
  while (!found.done) {
    bar.show(found.sound, Math.min(to ?? found.revision, found.revision));
    found = await check(found.sound + 1, to);
  }
  return { ...found, from: first.from };
}

async function compare(options: VerifyOptions): Promise<void> {
  const answer = await clientOf(options).json({ method: "POST", path: "/v1/admin/compare-states" });
  const { round, revision: at, verdict, voters, diverged, reports } = Compared.parse(answer);
  if (options.json === true) print(JSON.stringify(answer));
  else {
    const rows = [...new Set([...voters, ...reports.map(({ node }) => node)])].map((node) => {
      const report = reports.find((one) => one.node === node);
      return [
        node,
        report?.hash ?? (report === undefined ? "no report" : report.found),
        diverged.includes(node) ? "diverged" : "",
      ];
    });
    print(`as of log index ${round}, revision ${at}: ${VERDICTS[verdict]}`);
    for (const line of table([["replica", "state", ""], ...rows])) print(line);
  }
  if (verdict === "open") process.exitCode = EXIT.retry;
  else if (verdict === "split" || diverged.length > 0) process.exitCode = EXIT.refused;
}

const VERDICTS = {
  open: "not enough replicas have reported",
  agreed: "a majority holds one state",
  split: "no majority holds one state; nobody serves (docs/errors.md, DIVERGED)",
} as const;
