/**
 * Whether what callers saw is linearizable. The ledger gives all writes one order, and a read names the revision of the
 * state it was read in; so each answered call has one place, and that order must fit what each call was told and the
 * order in which callers saw calls end and begin.
 */
import type { Call, History, LedgerWrite } from "./history.ts";

/** When somebody asked, and was answered, in moments of one clock. */
interface Asking {
  readonly began: number;
  readonly ended: number;
}

/** Where a call took effect: at `from`, or anywhere up to `to`. */
export interface Effect<Asked extends Asking = Call> {
  readonly call: Asked;
  readonly from: number;
  readonly to: number;
}

export function orderFaults(history: History, ledger: readonly LedgerWrite[]): readonly string[] {
  const faults: string[] = [];
  const keys = writesByKey(ledger);
  const byValue = new Map(ledger.flatMap((write) => (write.value === null ? [] : [[write.value, write]])));
  const effects: Effect[] = [];
  for (const call of history.calls) {
    const { asked, answer, key } = call;
    const writes = keys.get(key) ?? [];
    if (asked.kind === "delete" && answer?.kind === "wrote")
      effects.push({ call, from: answer.revision, to: answer.revision });
    if (asked.kind === "read" || asked.kind === "delete") {
      if (answer?.kind !== "saw") continue;
      const effect = readEffect(call, answer, writes);
      if (typeof effect === "string") faults.push(effect);
      else effects.push(effect);
      continue;
    }
    const written = byValue.get(asked.value);
    if (written === undefined) continue;
    const before = standingAt(writes, written.revision - 1)?.revision ?? 0;
    if (asked.kind === "compareAndSet" && before !== asked.expected) {
      faults.push(`${described(call)} stands at ${written.revision}, after ${before}`);
    }
    effects.push({ call, from: written.revision, to: written.revision });
  }
  faults.push(...realTimeFaults(effects, described), ...differedFaults(history, keys, effects));
  return faults;
}

/** A read is half a step behind the revision it was read in, or between the write it saw and the key's next one. */
function readEffect(
  call: Call,
  { row, at }: Extract<NonNullable<Call["answer"]>, { kind: "saw" }>,
  writes: readonly LedgerWrite[],
): Effect | string {
  const latest = standingAt(writes, at ?? row?.revision ?? 0);
  if (latest?.value !== row?.value || latest?.revision !== row?.revision) {
    return `${described(call)} at revision ${at}, where it was ${latest?.value} of ${latest?.revision}`;
  }
  if (at !== null) return { call, from: at + 0.5, to: at + 0.5 };
  const from = row?.revision ?? 0;
  const next = writes.find(({ revision }) => revision > from);
  // It was absent more than once: which time was seen is the general checker's to find.
  if (row === null && writes.some(({ value }) => value === null))
    return { call, from: 0.5, to: Number.POSITIVE_INFINITY };
  return { call, from: from + 0.5, to: next === undefined ? Number.POSITIVE_INFINITY : next.revision - 0.5 };
}

/** A call that began after another had ended comes after it. */
export function realTimeFaults<Asked extends Asking>(
  effects: readonly Effect<Asked>[],
  name: (call: Asked) => string,
): readonly string[] {
  const faults: string[] = [];
  const byEnd = [...effects].sort((a, b) => a.call.ended - b.call.ended);
  const byBegin = [...effects].sort((a, b) => a.call.began - b.call.began);
  let ended = 0;
  let furthest: Effect<Asked> | null = null;
  for (const effect of byBegin) {
    for (let next = byEnd[ended]; next !== undefined && next.call.ended < effect.call.began; next = byEnd[++ended]) {
      if (furthest === null || next.from > furthest.from) furthest = next;
    }
    if (furthest !== null && furthest.from > effect.to) {
      faults.push(
        `${name(effect.call)} at ${effect.to} began after ${name(furthest.call)} at ${furthest.from} had ended`,
      );
    }
  }
  return faults;
}

/** A comparison that did not hold must have had a moment at which the key was not as expected. */
function differedFaults(
  { calls }: History,
  keys: ReadonlyMap<string, readonly LedgerWrite[]>,
  effects: readonly Effect[],
): readonly string[] {
  const faults: string[] = [];
  for (const call of calls) {
    if (call.asked.kind !== "compareAndSet" || call.answer?.kind !== "differed") continue;
    let from = 0;
    let to = Number.POSITIVE_INFINITY;
    for (const effect of effects) {
      if (effect.call.ended < call.began) from = Math.max(from, effect.from);
      if (effect.call.began > call.ended) to = Math.min(to, effect.to);
    }
    const writes = keys.get(call.key) ?? [];
    const { expected } = call.asked;
    const held = (standingAt(writes, from)?.revision ?? 0) === expected;
    if (held && !writes.some(({ revision }) => revision > from && revision < to)) {
      faults.push(`${described(call)} differed, and the key was as expected all the time`);
    }
  }
  return faults;
}

function writesByKey(ledger: readonly LedgerWrite[]): ReadonlyMap<string, readonly LedgerWrite[]> {
  const keys = new Map<string, LedgerWrite[]>();
  for (const write of ledger) {
    const writes = keys.get(write.key);
    if (writes === undefined) keys.set(write.key, [write]);
    else writes.push(write);
  }
  return keys;
}

/** What the key held after `revision`. */
function standingAt(writes: readonly LedgerWrite[], revision: number): LedgerWrite | undefined {
  const last = lastAtMost(writes, revision);
  return last?.value === null ? undefined : last;
}

/** Writes ascend. */
function lastAtMost(writes: readonly LedgerWrite[], revision: number): LedgerWrite | undefined {
  let low = 0;
  let high = writes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((writes[middle]?.revision ?? 0) <= revision) low = middle + 1;
    else high = middle;
  }
  return writes[low - 1];
}

function described({ process, key, asked, answer }: Call): string {
  switch (asked.kind) {
    case "put":
      return `${process}'s put ${key} = ${asked.value}`;
    case "compareAndSet":
      return `${process}'s put ${key} = ${asked.value} after ${asked.expected}`;
    case "delete":
      return `${process}'s delete of ${key}`;
    case "read": {
      const row = answer?.kind === "saw" ? answer.row : null;
      return `${process}'s read of ${key} saw ${row?.value ?? "nothing"} of ${row?.revision ?? 0}`;
    }
  }
}
