/**
 * Q2: a write to a key that has a home, asked for once, ran at one home at most once, and exactly once where its caller was
 * told so; what its caller was told is what the ledger of its home shows. Each such write puts one value of its own.
 */
import { utf8Text } from "@openclaw/core/bytes.ts";
import { isKeyEvent, type LedgerRecord } from "@openclaw/core/ledger/record.ts";
import type { Outcome } from "@openclaw/core/state-machine/command.ts";

/** Whoever asks; what a move takes along is written in the name of a cluster. */
export const WRITER = "writer";

/** Of a transaction that compares, the value says which branch ran. */
export type Branch = "success" | "failure";

export interface HomeAsk {
  readonly process: string;
  /** What it puts begins with it, and no other value does. */
  readonly mark: string;
  /** Where it puts it. */
  readonly key: string;
  /** The value that it compares; null: it compares nothing. `value` null: that there is none. */
  readonly compare: { readonly key: string; readonly value: string | null } | null;
  /** Its keys may have two homes. */
  readonly crosses: boolean;
  /** The cluster below whose keys are meant; null: those of wherever the home is. */
  readonly to: string | null;
  /** What it was told; null: nothing. */
  answer: Outcome | null;
  /** What became of it where it was queued; null: nobody knows yet. */
  settled: Outcome | null;
  /** Nothing was known of it any more. */
  forgotten: boolean;
}

export interface Run {
  readonly revision: number;
  readonly branch: Branch;
}

export const markedValue = (mark: string, branch: Branch): string => `${mark} ${branch}`;

/** By their marks, what ran in a ledger of one cluster's own. */
function runsOf(ledger: readonly LedgerRecord[]): ReadonlyMap<string, readonly Run[]> {
  const runs = new Map<string, Run[]>();
  for (const { revision, origin, principal, events } of ledger) {
    if (origin !== null || principal !== WRITER) continue;
    for (const event of events) {
      if (event.kind !== "put") continue;
      const value = utf8Text(event.value) ?? "";
      const branch = (["success", "failure"] as const).find((one) => value.endsWith(` ${one}`));
      if (branch === undefined) continue;
      const mark = value.slice(0, -branch.length - 1);
      runs.set(mark, [...(runs.get(mark) ?? []), { revision, branch }]);
    }
  }
  return runs;
}

/** A ledger in which something may have run. */
export interface Ran {
  readonly name: string;
  readonly records: readonly LedgerRecord[];
  readonly runs: ReturnType<typeof runsOf>;
}

export const ranOf = (name: string, records: readonly LedgerRecord[]): Ran => ({
  ...{ name, records },
  runs: runsOf(records),
});

/** No ledger has it twice. */
export function repeatFaults({ name, runs }: Ran): readonly string[] {
  return [...runs].flatMap(([mark, all]) =>
    all.length === 1 ? [] : [`${name} ran ${mark} at ${all.map(({ revision }) => revision).join(" and ")}`],
  );
}

export interface Standpoint {
  /** The ledger of who was asked. */
  readonly own: Ran;
  /** Those of whatever life its home may have had. */
  readonly homes: readonly Ran[];
  /** Those in which nothing may have run beside what is told. */
  readonly others: readonly Ran[];
}

export function askFaults(ask: HomeAsk, { own, homes, others }: Standpoint): readonly string[] {
  const { mark, answer, settled } = ask;
  const faults: string[] = [];
  const said = answer === null || isQueued(answer) ? settled : answer;
  const everywhere = [...new Set([own, ...others])].flatMap((at) =>
    (at.runs.get(mark) ?? []).map((run) => ({ at, run })),
  );
  const where = everywhere.map(({ at, run }) => `${at.name} ${run.revision}`).join(" and ");
  if (everywhere.length > 1) faults.push(`${mark} ran at ${where}`);
  if (answer !== null && isQueued(answer) && answer.ok) {
    const handle = own.records[answer.revision - 1];
    if (handle?.origin !== null || handle.principal !== WRITER || !handle.events.some(({ kind }) => kind === "command"))
      faults.push(`${mark} was queued at ${answer.revision}, and ${own.name} has no command there`);
  }
  if (said === null) return faults;
  if (!said.ok) {
    if (everywhere.length > 0 && said.code !== "OUTCOME_UNKNOWN")
      faults.push(`${mark} failed with ${said.code}, and ran at ${where}`);
    return faults;
  }
  // Told at once, it ran here.
  const at = (said === answer ? [own] : [own, ...homes]).find(({ runs }) =>
    runs.get(mark)?.some(({ revision }) => revision === said.revision),
  );
  if (at === undefined) return [...faults, `${mark} is done at ${said.revision}, and ran at ${where || "no place"}`];
  const branch = at.runs.get(mark)?.find(({ revision }) => revision === said.revision)?.branch;
  const told = said.response?.kind === "txn" ? (said.response.succeeded ? "success" : "failure") : "success";
  if (branch !== told) faults.push(`${mark} is told of its ${told}, and ${at.name} ran its ${branch}`);
  if (ask.compare !== null) {
    const stood = standingBefore(at.records, ask.compare.key, said.revision);
    if ((stood === ask.compare.value) !== (branch === "success"))
      faults.push(`${mark} compared with ${ask.compare.value}, ${at.name} had ${stood}, and its ${branch} ran`);
  }
  return faults;
}

export const isQueued = (outcome: Outcome): boolean => outcome.ok && outcome.response?.kind === "queued";

/** The value that a cluster's own key had before a revision; null: it was not there. */
function standingBefore(records: readonly LedgerRecord[], key: string, before: number): string | null {
  for (let at = before - 2; at >= 0; at--) {
    const record = records[at];
    if (record === undefined || record.origin !== null) continue;
    const event = record.events.findLast((one) => isKeyEvent(one) && utf8Text(one.key) === key);
    if (event !== undefined) return event.kind === "put" ? (utf8Text(event.value) ?? "") : null;
  }
  return null;
}

/** What one process was answered of one key stands in each ledger in the order in which it asked. */
export function processOrderFaults(asks: readonly HomeAsk[], { name, runs }: Ran): readonly string[] {
  const last = new Map<string, { readonly mark: string; readonly revision: number }>();
  return asks.flatMap(({ process, mark, key, to, answer }) => {
    const [run] = runs.get(mark) ?? [];
    if (run === undefined) return [];
    const whose = `${process} ${key} ${to}`;
    const before = last.get(whose);
    if (answer !== null) last.set(whose, { mark, revision: run.revision });
    return before === undefined || before.revision < run.revision
      ? []
      : [`${name} ran ${mark} at ${run.revision}, and ${before.mark}, which was asked before, at ${before.revision}`];
  });
}
