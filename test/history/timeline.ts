/**
 * A history in the form that the search walks over. Time is cut at the returns: position p is the moment just before the
 * p-th return, and what matters there is which steps have been invoked and have not returned.
 */
import type { Model, Timed } from "./model.ts";

/** Steps of unknown outcome that may stand in for each other. The earliest is used first: it is there the longest. */
export interface Spares<Step> {
  readonly step: Step;
  /** Indexes of the steps, by invocation. */
  readonly members: readonly number[];
  /** The position from which each member can be used. */
  readonly from: readonly number[];
  /** The position from which none is of use any more. */
  readonly until: number;
  /** Number of the first of its bits: one bit a member, set from the first on. */
  readonly bit: number;
  readonly kin: number;
}

export interface Timeline<Step> {
  /** The step that returns at each position. */
  readonly returns: readonly number[];
  /** What is open at each position: steps that only observe, and those that may change the state, by their returns. */
  readonly observers: readonly (readonly number[])[];
  readonly writers: readonly (readonly number[])[];
  /** What of unknown outcome may be used at each position. */
  readonly spares: readonly (readonly Spares<Step>[])[];
  /** For each step that returns a number that no other one has which is open at the same time. */
  readonly slots: readonly number[];
  readonly slotCount: number;
  readonly spareCount: number;
  /** Equal for steps that do the same. */
  readonly kin: readonly number[];
  readonly kinCount: number;
  /** How many numbers all this holds, for the account of memory. */
  readonly size: number;
}

export function timelineOf<State, Step>(model: Model<State, Step>, steps: readonly Timed<Step>[]): Timeline<Step> {
  const kinNumbers = new Map<string, number>();
  const kin = steps.map(({ step }) => {
    const name = model.alike(step);
    const number = kinNumbers.get(name) ?? kinNumbers.size;
    kinNumbers.set(name, number);
    return number;
  });
  const returnOf = (index: number): number => {
    const timed = steps[index];
    return timed?.kind === "must" ? timed.returned : Number.POSITIVE_INFINITY;
  };

  const returns: number[] = [];
  const observers: number[][] = [];
  const writers: number[][] = [];
  const slots: number[] = [];
  const spareFrom: { readonly index: number; readonly position: number }[] = [];
  const openObservers = new Set<number>();
  const openWriters = new Set<number>();
  const freeSlots: number[] = [];
  let slotCount = 0;
  let size = 0;
  for (const { index, isReturn } of eventsOf(steps)) {
    const timed = steps[index];
    if (timed === undefined) continue;
    const open = model.observes(timed.step) ? openObservers : openWriters;
    if (timed.kind === "may") {
      spareFrom.push({ index, position: returns.length });
    } else if (!isReturn) {
      slots[index] = freeSlots.pop() ?? slotCount++;
      open.add(index);
    } else {
      returns.push(index);
      observers.push([...openObservers]);
      writers.push([...openWriters].sort((a, b) => returnOf(a) - returnOf(b)));
      size += openObservers.size + openWriters.size;
      open.delete(index);
      freeSlots.push(slots[index] ?? 0);
    }
  }
  const spares = sparesOf(steps, kin, spareFrom, returns.map(returnOf));
  return {
    returns,
    observers,
    writers,
    spares: usableAt(spares, returns.length),
    slots,
    slotCount,
    spareCount: spareFrom.length,
    kin,
    kinCount: kinNumbers.size,
    size,
  };
}

/** Invocations and returns by time. Of equal moments the invocations come first, so that their steps are concurrent. */
function eventsOf(steps: readonly Timed<unknown>[]): readonly { readonly index: number; readonly isReturn: boolean }[] {
  const events: { readonly index: number; readonly isReturn: boolean; readonly moment: number }[] = [];
  for (const [index, timed] of steps.entries()) {
    events.push({ index, isReturn: false, moment: timed.invoked });
    if (timed.kind === "must") events.push({ index, isReturn: true, moment: timed.returned });
  }
  return events.sort((a, b) => a.moment - b.moment || Number(a.isReturn) - Number(b.isReturn));
}

function sparesOf<Step>(
  steps: readonly Timed<Step>[],
  kin: readonly number[],
  found: readonly { readonly index: number; readonly position: number }[],
  returnMoments: readonly number[],
): readonly Spares<Step>[] {
  const byKin = new Map<number, { step: Step; members: number[]; from: number[]; usefulUntil: number }>();
  for (const { index, position } of found) {
    const timed = steps[index];
    const kinOf = kin[index];
    if (timed?.kind !== "may" || kinOf === undefined) continue;
    const group = byKin.get(kinOf) ?? { step: timed.step, members: [], from: [], usefulUntil: timed.usefulUntil };
    group.members.push(index);
    group.from.push(position);
    group.usefulUntil = Math.max(group.usefulUntil, timed.usefulUntil);
    byKin.set(kinOf, group);
  }
  let bit = 0;
  return [...byKin].map(([kinOf, { usefulUntil, ...group }]) => {
    const spares = { ...group, kin: kinOf, bit, until: countUpTo(returnMoments, usefulUntil) };
    bit += group.members.length;
    return spares;
  });
}

/** How many of the sorted moments are not after this one. */
function countUpTo(moments: readonly number[], moment: number): number {
  let low = 0;
  let high = moments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((moments[middle] ?? 0) <= moment) low = middle + 1;
    else high = middle;
  }
  return low;
}

function usableAt<Step>(spares: readonly Spares<Step>[], positions: number): readonly (readonly Spares<Step>[])[] {
  const changes = new Set(spares.flatMap(({ from, until }) => [from[0] ?? 0, until]));
  const usable: (readonly Spares<Step>[])[] = [];
  let current: readonly Spares<Step>[] = [];
  for (let position = 0; position < positions; position++) {
    if (changes.has(position)) {
      current = spares.filter(({ from, until }) => (from[0] ?? 0) <= position && position < until);
    }
    usable.push(current);
  }
  return usable;
}
