/**
 * Homes (Q3): at which cluster the keys of a prefix are written. One row holds them all, because apply asks it at every
 * command; it is made of `home` events alone, so that a replay of the ledger gives it again (L2).
 */
import { compareBytes, equalBytes, prefixEnd, startsWith, toHex } from "../bytes.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import { unreachable } from "../errors.ts";
import { type ClusterId, type Origin, type Revision, revision } from "../ids.ts";
import type { Home, HomeEvent, LedgerEvent } from "../ledger/record.ts";
import { readCluster, readClusters } from "../ledger/record-codec.ts";
import { HOMES_KNOWN_MAX } from "../limits.ts";
import type { KeyCommand } from "./command.ts";
import type { FormerlyPrivate, HomeRow } from "./home.ts";
import { FORMERLY_PRIVATE_KEY, HOMES_KEY, HOMES_LEFT_KEY } from "./keyspace.ts";
import type { KeySelector, Operation, Txn } from "./operation.ts";
import { type Refusal, refused } from "./outcome.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView } from "./view.ts";

/** Where a command on keys runs. */
export type Place =
  | { readonly kind: "here"; readonly home: Home }
  /** Ours, once the old homes that it waits for have released it. */
  | { readonly kind: "held"; readonly waiting: readonly ClusterId[] }
  | { readonly kind: "parent" }
  /** It names keys of two homes. */
  | { readonly kind: "crossing" };

/** Rows in [from, to) that one home row, or none, is about. */
export interface Stretch {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
  readonly row: HomeRow | null;
}

const AT_SITE: Place = { kind: "here", home: "site" };

export class Homes {
  /** Ascending by prefix. */
  readonly rows: readonly HomeRow[];

  constructor(rows: readonly HomeRow[]) {
    this.rows = rows;
  }

  exactly(prefix: Uint8Array): HomeRow | null {
    return this.rows.find((row) => equalBytes(row.prefix, prefix)) ?? null;
  }

  /** Of the longest prefix that the key has. */
  rowOf(key: Uint8Array): HomeRow | null {
    let found: HomeRow | null = null;
    // In ascending order of prefixes, the last one that fits is the longest.
    for (const row of this.rows) if (startsWith(key, row.prefix)) found = row;
    return found;
  }

  /** The home that a record of this key has. */
  homeOf(key: Uint8Array): Home {
    return this.rowOf(key)?.home ?? "site";
  }

  /** It, or one around it, is private here: what becomes of it is nobody else's business (Q3). */
  isPrivate(prefix: Uint8Array): boolean {
    return this.rowOf(prefix)?.home === "private";
  }

  /** Whose rows answer for a key: null for our own. */
  readAt(key: Uint8Array): ClusterId | null {
    return readAt(this.rowOf(key));
  }

  /** The same of a range; null also where it is of several. */
  readRangeAt(keys: KeySelector): ClusterId | null {
    const [first, ...others] = this.#rowsOf(keys).map(readAt);
    return first !== undefined && others.every((other) => other === first) ? first : null;
  }

  placeOf(command: KeyCommand): Place {
    if (this.rows.length === 0) return AT_SITE;
    let place: Place | null = null;
    for (const keys of selectors(command)) {
      for (const row of this.#rowsOf(keys)) {
        const next = placeAt(row);
        if (place !== null && !same(place, next)) return { kind: "crossing" };
        place = together(place, next);
      }
    }
    return place ?? AT_SITE;
  }

  /** Something that it names waits for old homes to release it. */
  isHeld(command: KeyCommand): boolean {
    return [...selectors(command)].some((keys) => this.#rowsOf(keys).some((row) => placeAt(row).kind === "held"));
  }

  /** Since which revision of ours the home of all that it names is the hub; 0 where that of nothing is. */
  hubSince(command: KeyCommand): Revision {
    let last = revision(0);
    for (const keys of selectors(command))
      for (const row of this.#rowsOf(keys)) if (row?.home === "hub" && row.since > last) last = row.since;
    return last;
  }

  /** [from, to) cut where the home changes, in order. */
  stretches(from: Uint8Array, to: Uint8Array | null): readonly Stretch[] {
    const cuts = this.rows
      .flatMap(({ prefix }) => [prefix, prefixEnd(prefix)])
      .filter((cut) => cut !== undefined)
      .filter((cut) => compareBytes(from, cut) < 0 && (to === null || compareBytes(cut, to) < 0))
      .sort(compareBytes);
    const begins = [from, ...cuts];
    return begins.map((begin, i) => ({ from: begin, to: begins[i + 1] ?? to, row: this.rowOf(begin) }));
  }

  with(row: HomeRow): Homes {
    const rows = [...this.without(row.prefix).rows, row];
    return new Homes(rows.sort((a, b) => compareBytes(a.prefix, b.prefix)));
  }

  without(prefix: Uint8Array): Homes {
    return new Homes(this.rows.filter((row) => !equalBytes(row.prefix, prefix)));
  }

  #rowsOf(keys: KeySelector): readonly (HomeRow | null)[] {
    switch (keys.kind) {
      case "key":
        return [this.rowOf(keys.key)];
      case "range":
        return this.stretches(keys.from, keys.to).map(({ row }) => row);
      default:
        return unreachable(keys);
    }
  }
}

const NO_HOMES = new Homes([]);

const homesRow: RowCodec<Homes> = {
  encode: ({ rows }) =>
    encode(
      rows.map((row) => [
        row.prefix,
        row.home === "private",
        row.owner,
        row.open,
        row.waiting,
        row.declared,
        row.since,
        row.asked,
      ]),
    ),
  decode(bytes) {
    const list = decode(bytes);
    return new Homes(
      (Array.isArray(list) ? list : []).map((value) => {
        const reader = new TupleReader(value, "home row");
        return {
          prefix: reader.bytes(),
          home: reader.flag() ? "private" : "hub",
          owner: readCluster(reader),
          open: reader.flag(),
          waiting: readClusters(reader),
          declared: revision(reader.count()),
          since: revision(reader.count()),
          asked: revision(reader.count()),
        };
      }),
    );
  },
};

export const homesOf = (tx: Transaction): Homes => tx.read(HOMES_KEY, homesRow) ?? NO_HOMES;

export function homesIn(view: StateView): Homes {
  const bytes = view.get(HOMES_KEY);
  return bytes === undefined ? NO_HOMES : homesRow.decode(bytes);
}

/** What the parent declares of further prefixes would not fit the head of a snapshot to those below (S4). */
export function tooManyHomes(tx: Transaction, events: readonly LedgerEvent[]): Refusal | null {
  const declared = events.flatMap((event) =>
    event.kind === "home" && event.step.kind === "declare" ? [event.prefix] : [],
  );
  if (declared.length === 0) return null;
  const { rows } = homesOf(tx);
  const known = new Set([...rows.map((row) => row.prefix), ...declared].map(toHex));
  return known.size > HOMES_KNOWN_MAX && known.size > rows.length
    ? refused("OVERLOADED", `${known.size} prefixes have homes, at most ${HOMES_KNOWN_MAX}`)
    : null;
}

/** A neighbour, and its revision that told. */
export type Teller = Pick<Origin, "cluster" | "revision">;

/**
 * What a step makes of the row: the same whether it is applied or replayed.
 * @param told null: our own; else by which neighbour, at which of its revisions
 * @param at our revision that holds it
 */
export function takeHomeStep(tx: Transaction, told: Teller | null, at: Revision, { prefix, step }: HomeEvent): void {
  const from = told?.cluster ?? null;
  const homes = homesOf(tx);
  const row = homes.exactly(prefix);
  switch (step.kind) {
    case "declare": {
      if (from !== null && homes.isPrivate(prefix)) return;
      if (step.home !== "private" && homes.isPrivate(prefix)) noteFormerlyPrivate(tx, { prefix, until: at });
      // Our own word on what a parent declared: we left it, and it does not tell it again by itself.
      if (from === null && row !== null && row.owner !== null && step.home === "site") noteHomesLeft(tx);
      if (step.home === "site") return write(tx, homes.without(prefix));
      const owner = from === null ? step.owner : (step.owner ?? from);
      const open = step.home === "private";
      const waiting = from === null ? step.waiting : [];
      // What we tell our children of the parent's is still the parent's.
      const asked = told?.revision ?? (owner === null ? revision(0) : (row?.asked ?? revision(0)));
      // Said again, it is the same declaration, and its answers count: an operator said that a child is gone.
      const isAgain = from === null && row !== null && row.home === step.home && row.owner === owner;
      const declared = isAgain ? row.declared : at;
      // What the parent declared is known below from where we tell of it: what we gave up in between was each child's own.
      const isTold = isAgain && owner !== null && row.since === row.declared;
      const before = homes.rowOf(prefix);
      const since = before?.home === "hub" && !isTold ? before.since : at;
      return write(tx, homes.with({ prefix, home: step.home, owner, open, waiting, declared, since, asked }));
    }
    case "release":
      if (from === null || row === null || step.of < row.declared) return;
      return write(tx, homes.with({ ...row, waiting: row.waiting.filter((child) => child !== from) }));
    case "open":
      // Told to the children on its way through a middle tier, it is no news to that tier.
      if (row === null || row.home !== "hub" || (from === null) !== (row.owner === null)) return;
      return write(tx, homes.with({ ...row, open: true }));
    default:
      unreachable(step);
  }
}

const homesLeftRow: RowCodec<true> = { encode: () => new Uint8Array(0), decode: () => true };

const noteHomesLeft = (tx: Transaction): void => tx.write(HOMES_LEFT_KEY, homesLeftRow, true);

/** What a parent declared was left with it once, or with a state that this one was restored from. */
export const haveLeftHomes = (tx: Transaction): boolean => tx.read(HOMES_LEFT_KEY, homesLeftRow) === true;

const formerlyPrivateRow: RowCodec<readonly FormerlyPrivate[]> = {
  encode: (rows) => encode(rows.map(({ prefix, until }) => [prefix, until])),
  decode(bytes) {
    const list = decode(bytes);
    return (Array.isArray(list) ? list : []).map((value) => {
      const reader = new TupleReader(value, "formerly private prefix");
      return { prefix: reader.bytes(), until: revision(reader.count()) };
    });
  },
};

function noteFormerlyPrivate(tx: Transaction, one: FormerlyPrivate): void {
  const others = formerlyPrivate(tx).filter(({ prefix }) => !equalBytes(prefix, one.prefix));
  tx.write(FORMERLY_PRIVATE_KEY, formerlyPrivateRow, [...others, one]);
}

export const formerlyPrivate = (tx: Transaction): readonly FormerlyPrivate[] =>
  tx.read(FORMERLY_PRIVATE_KEY, formerlyPrivateRow) ?? [];

/** Of what is compacted there is no snapshot. */
export function forgetFormerlyPrivate(tx: Transaction, compacted: Revision): void {
  const known = formerlyPrivate(tx);
  const kept = known.filter(({ until }) => until > compacted);
  if (kept.length < known.length) tx.write(FORMERLY_PRIVATE_KEY, formerlyPrivateRow, kept);
}

export function formerlyPrivateIn(view: StateView): readonly FormerlyPrivate[] {
  const bytes = view.get(FORMERLY_PRIVATE_KEY);
  return bytes === undefined ? [] : formerlyPrivateRow.decode(bytes);
}

/** Whether a key was private as of a revision: of what is here now, and what was private later than that, the longest says it. */
export function wasPrivate(homes: Homes, formerly: readonly FormerlyPrivate[], key: Uint8Array, at: Revision): boolean {
  const now = homes.rowOf(key);
  return (
    now?.home === "private" ||
    formerly.some(
      ({ prefix, until }) => until > at && startsWith(key, prefix) && prefix.length >= (now?.prefix.length ?? 0),
    )
  );
}

function write(tx: Transaction, homes: Homes): void {
  if (homes.rows.length === 0) tx.remove(HOMES_KEY);
  else tx.write(HOMES_KEY, homesRow, homes);
}

/** Whose rows answer under a home row: the mirror of the owner, once that is the home; else our own. */
const readAt = (row: HomeRow | null): ClusterId | null => (row?.open === true ? row.owner : null);

function placeAt(row: HomeRow | null): Place {
  if (row === null) return AT_SITE;
  if (row.home === "private") return { kind: "here", home: "private" };
  if (row.owner !== null) return { kind: "parent" };
  return row.open ? { kind: "here", home: "hub" } : { kind: "held", waiting: row.waiting };
}

const together = (a: Place | null, b: Place): Place =>
  a?.kind === "held" && b.kind === "held" ? { kind: "held", waiting: [...a.waiting, ...b.waiting] } : b;

const same = (a: Place, b: Place): boolean =>
  a.kind === b.kind && (a.kind !== "here" || b.kind !== "here" || a.home === b.home);

function* selectors(command: KeyCommand): Generator<KeySelector> {
  switch (command.kind) {
    case "put":
      yield { kind: "key", key: command.key };
      return;
    case "deleteRange":
      yield command.keys;
      return;
    case "txn":
      yield* selectorsOf(command);
      return;
    default:
      unreachable(command);
  }
}

/** Of both branches, taken or not, and of what is only read: all of it must be seen at one place. */
function* selectorsOf({ compares, success, failure }: Txn): Generator<KeySelector> {
  for (const { keys } of compares) yield keys;
  for (const operation of [...success, ...failure]) yield* selectorsOfOperation(operation);
}

function* selectorsOfOperation(operation: Operation): Generator<KeySelector> {
  switch (operation.kind) {
    case "put":
      yield { kind: "key", key: operation.key };
      return;
    case "deleteRange":
    case "range":
      yield operation.keys;
      return;
    case "txn":
      yield* selectorsOf(operation);
      return;
    default:
      unreachable(operation);
  }
}
