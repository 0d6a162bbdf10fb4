/**
 * A home moves (Q3): the new one queues writes until each old home's ledger holds `release(prefix)`. What the old homes
 * had is then there, because a link is in order; what they queued on the way runs behind it, in its order.
 *
 *   to the hub     hub: declare(hub), its own keys again ── child: release ── hub: the child's keys, …, open, what it held
 *   to the sites   hub: declare(site) ── child: the hub's keys, as its own, and what it had queued and the hub had not run
 */
import { equalBytes, prefixEnd, startsWith } from "../bytes.ts";
import { unreachable } from "../errors.ts";
import type { ClusterId, Revision } from "../ids.ts";
import type { Home, HomeEvent } from "../ledger/record.ts";
import { HOME_PREFIX_BYTES_MAX, HOMES_MAX, RANGE_ROWS_MAX } from "../limits.ts";
import type { Outcome, UserCommand } from "./command.ts";
import type { HomeRow } from "./home.ts";
import { forgetFormerlyPrivate, formerlyPrivate, homesOf, type Teller, takeHomeStep } from "./homes.ts";
import { type KeyRow, keyRow } from "./key-rows.ts";
import { KeyWrites } from "./key-writes.ts";
import { keyOfRow, keyRange, keyRowKey } from "./keyspace.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import { childrenOf } from "./link-rows.ts";
import { movingOf, noteMoving } from "./moving.ts";
import { rowBytes } from "./operation.ts";
import { accepted, type Refusal, refused } from "./outcome.ts";
import type { QueuedCommands } from "./queued-commands.ts";
import { shippingRefusal } from "./sites.ts";
import type { Transaction } from "./transaction.ts";

/** Bytes of the rows that one move takes along. */
const MOVED_BYTES_MAX = 64 * 1_048_576;
/** Rows that one import forgets, or takes over, and bytes of them: those who hold more than their hub knew go on in the next. */
const MOVED_AT_ONCE_MAX = 1_024;
const MOVED_AT_ONCE_BYTES = 4 * 1_048_576;

type SetHome = Extract<UserCommand, { kind: "setHome" }>;

export class Handover {
  readonly #tx: Transaction;
  readonly #ledger: LedgerWriter;
  readonly #commands: QueuedCommands;
  readonly #cluster: ClusterId;

  constructor(tx: Transaction, ledger: LedgerWriter, commands: QueuedCommands, cluster: ClusterId) {
    this.#tx = tx;
    this.#ledger = ledger;
    this.#commands = commands;
    this.#cluster = cluster;
  }

  /** An operator's word. @param authorOf of the revisions that it takes, each with a salt of its own */
  set(authorOf: (principal: string) => Author, principal: string, { prefix, home, without }: SetHome): Outcome {
    const row = homesOf(this.#tx).exactly(prefix);
    const wrong = this.#refusal(row, prefix, home, without);
    if (wrong !== null) return wrong;
    switch (home) {
      case "private":
        if (row === null) this.#declare(authorOf(principal), prefix, home, null, []);
        break;
      case "site":
        if (row === null) break;
        if (row.owner !== null) {
          // Nobody else goes on with it where the owner is gone; said again, it does.
          if (this.forgetSome(authorOf))
            return refused("OVERLOADED", "what was here before the move is still being removed; say it again");
          this.#takeOver(authorOf, principal, row);
          break;
        }
        this.#declare(authorOf(principal), prefix, home, null, [], row.home);
        this.#commands.runWaiting(authorOf, this.#cluster);
        break;
      case "hub":
        this.#setHub(authorOf, principal, row, prefix, without);
        break;
      default:
        unreachable(home);
    }
    this.#commands.tellResults(authorOf(`cluster:${this.#cluster}`));
    return accepted(this.#ledger.position.revision);
  }

  /** A step that the parent told: it has taken its record. */
  fromParent(authorOf: (principal: string) => Author, parent: Teller, { prefix, step }: HomeEvent): void {
    const owner = parent.cluster;
    const own = authorOf(`cluster:${this.#cluster}`);
    const before = homesOf(this.#tx).exactly(prefix);
    const children = this.#children();
    switch (step.kind) {
      case "declare": {
        if (homesOf(this.#tx).isPrivate(prefix)) {
          // Nothing of it is given up, not even the name of a key; but the parent waits.
          if (step.home === "hub")
            this.#append(own, { kind: "home", prefix, step: { kind: "release", of: parent.revision } }, "site");
          return;
        }
        takeHomeStep(this.#tx, parent, this.#ledger.position.revision, { kind: "home", prefix, step });
        if (step.home === "hub") {
          this.#giveUpWithin(own, prefix);
          this.#commands.refuseHeld();
          if (children.length === 0) this.#release(own, prefix, parent.revision);
          else this.#declare(own, prefix, "hub", step.owner ?? owner, children);
          return;
        }
        this.#adopt(own, before);
        this.#commands.giveUpUnsure(own);
        if (children.length > 0) this.#declare(own, prefix, "site", null, []);
        this.#commands.runWaiting(authorOf, null);
        return;
      }
      case "open":
        takeHomeStep(this.#tx, parent, this.#ledger.position.revision, { kind: "home", prefix, step });
        // What it did not declare it cannot open.
        if (before === null || before.owner === null) return;
        // The owner has what we had: from here on its mirror answers.
        noteMoving(this.#tx, { prefix, origin: null }, prefix);
        this.forgetSome(authorOf);
        if (children.length > 0) this.#append(own, { kind: "home", prefix, step }, "site");
        return;
      case "release":
        return;
      default:
        unreachable(step);
    }
  }

  /** Some of our own keys that others' answer for by now. True: there are more, and nothing of the parent is taken before. */
  forgetSome(authorOf: (principal: string) => Author): boolean {
    const left = movingOf(this.#tx).find(({ origin }) => origin === null);
    if (left === undefined) return false;
    const { rows, next } = this.#some(left.prefix, null, left.from);
    this.#delete(authorOf(`cluster:${this.#cluster}`), rows);
    noteMoving(this.#tx, left, next);
    return this.isForgetting;
  }

  get isForgetting(): boolean {
    return movingOf(this.#tx).some(({ origin }) => origin === null);
  }

  /**
   * A child is to release a prefix: some of what it has there is ours, where we have nothing. True: there is more, and its
   * record is not taken before.
   */
  takeSome(authorOf: (principal: string) => Author, child: ClusterId, { prefix, step }: HomeEvent): boolean {
    if (step.kind !== "release") return false;
    const row = homesOf(this.#tx).exactly(prefix);
    const isOurs = row?.owner === null;
    const isAsked = row !== null && row.home !== "private" && step.of >= row.declared;
    // Past its own release a middle tier owns nothing under the prefix.
    if (!isAsked || (!isOurs && row.waiting.length === 0)) {
      // It may have been taken in part before the home moved away: the next release begins anew.
      noteMoving(this.#tx, { prefix, origin: child }, null);
      return false;
    }
    const left = movingOf(this.#tx).find(({ origin, prefix: of }) => origin === child && equalBytes(of, prefix));
    const { rows, next } = this.#some(prefix, child, left?.from ?? prefix);
    const missing = rows.filter(({ key }) => this.#tx.read(keyRowKey(null, key), keyRow) === undefined);
    this.#write(authorOf(`cluster:${this.#cluster}`), missing, isOurs ? "hub" : "site");
    noteMoving(this.#tx, { prefix, origin: child }, next);
    return next !== null;
  }

  /**
   * There is another parent: what the one before declared is each cluster's own again, as it was here last. What the new one
   * declares it tells.
   */
  leaveParent(author: Author): void {
    // What was forgotten in part may not come back; nobody moves away in the middle of that but once in a while.
    while (this.forgetSome(() => author));
    for (const row of homesOf(this.#tx).rows) {
      if (row.owner === null) continue;
      this.#declare(author, row.prefix, "site", null, []);
      this.#adopt(author, row);
    }
  }

  /** A child has released a prefix, and what it had there was taken over. */
  fromChild(authorOf: (principal: string) => Author, teller: Teller, { prefix, step }: HomeEvent): void {
    const before = homesOf(this.#tx).exactly(prefix);
    if (step.kind !== "release" || before === null || before.home === "private") return;
    // An answer to an earlier declaration: since then the home was away, and was the child's again.
    if (step.of < before.declared) return;
    const own = authorOf(`cluster:${this.#cluster}`);
    takeHomeStep(this.#tx, teller, this.#ledger.position.revision, { kind: "home", prefix, step });
    const after = homesOf(this.#tx).exactly(prefix);
    if (before.waiting.length > 0 && after?.waiting.length === 0) this.#allReleased(authorOf, own, after);
  }

  #setHub(
    authorOf: (principal: string) => Author,
    principal: string,
    row: HomeRow | null,
    prefix: Uint8Array,
    without: readonly ClusterId[],
  ): void {
    const author = authorOf(principal);
    const before = row === null ? this.#children() : row.waiting;
    const waiting = before.filter((child) => !without.includes(child));
    if (row !== null && (row.open || waiting.length === before.length)) return;
    this.#declare(author, prefix, "hub", null, waiting);
    // Children read these from the declaration on: what we had before is written again behind it.
    if (row === null) this.#write(authorOf(`cluster:${this.#cluster}`), this.#own(prefix), "hub");
    const after = homesOf(this.#tx).exactly(prefix);
    if (after?.waiting.length === 0) this.#allReleased(authorOf, author, after);
  }

  /**
   * The owner is gone, by an operator's word: what its mirror has is ours. Nobody knows what it ran of what we handed to it,
   * so none of that runs here (Q2).
   */
  #takeOver(authorOf: (principal: string) => Author, principal: string, row: HomeRow): void {
    const own = authorOf(`cluster:${this.#cluster}`);
    const { revision: handed } = this.#ledger.position;
    this.#declare(authorOf(principal), row.prefix, "site", null, []);
    this.#adopt(own, row);
    this.#commands.giveUp(own, handed);
  }

  #allReleased(authorOf: (principal: string) => Author, author: Author, { prefix, owner, asked }: HomeRow): void {
    if (owner !== null) {
      this.#release(author, prefix, asked);
      return;
    }
    this.#append(author, { kind: "home", prefix, step: { kind: "open" } }, "site");
    this.#commands.runWaiting(authorOf, this.#cluster);
  }

  #declare(
    author: Author,
    prefix: Uint8Array,
    home: Home,
    owner: ClusterId | null,
    waiting: readonly ClusterId[],
    before: Home = home,
  ): void {
    const isPrivate = home === "private" || before === "private";
    const step = { kind: "declare", home, owner, waiting } as const;
    // Not even the name of a private prefix leaves the site.
    this.#append(author, { kind: "home", prefix, step }, isPrivate ? "private" : "site");
  }

  /** Nothing is written here under the prefix after this. A lease cannot follow its keys: they end. */
  #release(author: Author, prefix: Uint8Array, of: Revision): void {
    const leased = [...this.#own(prefix)].filter(({ lease }) => lease !== null);
    this.#delete(author, leased);
    this.#append(author, { kind: "home", prefix, step: { kind: "release", of } }, "site");
  }

  /** What is the parent's is so with all that is within it, but for what is private here. */
  #giveUpWithin(author: Author, prefix: Uint8Array): void {
    for (const { prefix: within, home, owner } of homesOf(this.#tx).rows)
      if (home === "hub" && owner === null && within.length > prefix.length && startsWith(within, prefix))
        this.#declare(author, within, "site", null, []);
  }

  /** The prefix is ours again, and so are the keys that were read there; but those of a prefix around it that is not. */
  #adopt(author: Author, before: HomeRow | null): void {
    if (before === null || before.owner === null || !before.open) return;
    const homes = homesOf(this.#tx);
    const rows = [...this.#mirrored(before.prefix, before.owner)];
    this.#write(
      author,
      rows.filter(({ key }) => (homes.rowOf(key)?.owner ?? null) === null),
      "site",
    );
  }

  #append(author: Author, event: HomeEvent, home: Home): void {
    takeHomeStep(this.#tx, null, this.#ledger.append(author, [event], home), event);
  }

  #write(author: Author, rows: Iterable<MovedRow>, home: Home): void {
    let keys = new KeyWrites(this.#tx, this.#ledger);
    for (const { key, value, lease } of [...rows]) {
      if (keys.isFullFor(key.length + value.length)) {
        keys.commit(author, home);
        keys = new KeyWrites(this.#tx, this.#ledger);
      }
      keys.put(key, value, lease);
    }
    keys.commit(author, home);
  }

  #delete(author: Author, rows: Iterable<MovedRow>): void {
    let keys = new KeyWrites(this.#tx, this.#ledger);
    for (const { key } of [...rows]) {
      if (keys.isFullFor(key.length)) {
        keys.commit(author, "site");
        keys = new KeyWrites(this.#tx, this.#ledger);
      }
      keys.remove(key);
    }
    keys.commit(author, "site");
  }

  #own(prefix: Uint8Array): Iterable<MovedRow> {
    return this.#under(prefix, null);
  }

  #mirrored(prefix: Uint8Array, origin: ClusterId): Iterable<MovedRow> {
    return this.#under(prefix, origin);
  }

  /** As many rows as one import moves, and the key of the next one; null: that is all. */
  #some(
    prefix: Uint8Array,
    origin: ClusterId | null,
    from: Uint8Array,
  ): { readonly rows: readonly MovedRow[]; readonly next: Uint8Array | null } {
    const rows: MovedRow[] = [];
    let bytes = 0;
    for (const row of this.#under(prefix, origin, from)) {
      bytes += rowBytes(row);
      if (rows.length > 0 && (rows.length === MOVED_AT_ONCE_MAX || bytes > MOVED_AT_ONCE_BYTES))
        return { rows, next: row.key };
      rows.push(row);
    }
    return { rows, next: null };
  }

  /** Rows of the prefix, but those of a longer one that has a home of its own. @param first key */
  *#under(prefix: Uint8Array, origin: ClusterId | null, first: Uint8Array = prefix): Generator<MovedRow> {
    const { from, to } = keyRange(origin, first, prefixEnd(prefix) ?? null);
    const homes = homesOf(this.#tx);
    for (const { key: row, value } of this.#tx.rows(from, to, keyRow)) {
      const key = keyOfRow(origin, row);
      const of = homes.rowOf(key);
      if (of === null || of.prefix.length <= prefix.length) yield { key, ...value };
    }
  }

  #refusal(row: HomeRow | null, prefix: Uint8Array, home: Home, without: readonly ClusterId[]): Refusal | null {
    if (prefix.length > HOME_PREFIX_BYTES_MAX) return refused("BAD_REQUEST", `a prefix of ${prefix.length} bytes`);
    if (row !== null && row.owner !== null) return this.#takeOverRefusal(row.owner, prefix, home, without);
    const owner = homesOf(this.#tx).without(prefix).rowOf(prefix)?.owner ?? null;
    if (owner !== null && home !== "site")
      return refused("READ_ONLY", `${owner} declared what is around it; move it there`);
    if (row === null && home !== "site" && homesOf(this.#tx).rows.length >= HOMES_MAX)
      return refused("OVERLOADED", `${HOMES_MAX} prefixes have homes`);
    if (row !== null && home !== "site" && row.home !== home)
      return refused("BAD_REQUEST", `it is ${row.home}; move it to site first`);
    // Of the prefixes around it the longest says what it is, if it has no home of its own.
    const around = homesOf(this.#tx).without(prefix).isPrivate(prefix);
    const was = row === null ? around : row.home === "private";
    const becomes = home === "site" ? around : home === "private";
    if (was !== becomes && !this.#isEmpty(prefix))
      return refused("NOT_EMPTY", "what was shipped cannot be taken back, and what is private is not shipped later");
    if (was && !becomes && this.#isFullOfFormer(prefix))
      return refused("OVERLOADED", `${HOMES_MAX} prefixes were private; compact what is from then`);
    if (row === null && home === "hub") return this.#sizeRefusal(prefix, [null, ...this.#children()]);
    // Each child makes the hub's keys its own.
    return row?.home === "hub" && home === "site" ? this.#sizeRefusal(prefix, [null]) : null;
  }

  #takeOverRefusal(owner: ClusterId, prefix: Uint8Array, home: Home, without: readonly ClusterId[]): Refusal | null {
    if (home !== "site" || !without.includes(owner))
      return refused(
        "READ_ONLY",
        `${owner} declared it; move it there, or to site without ${owner} if that is gone for good`,
      );
    // It would be ours and private, and was told to others.
    if (homesOf(this.#tx).without(prefix).isPrivate(prefix))
      return refused("NOT_EMPTY", "a prefix around it is private");
    return this.#sizeRefusal(prefix, [owner]);
  }

  #isFullOfFormer(prefix: Uint8Array): boolean {
    forgetFormerlyPrivate(this.#tx, this.#ledger.position.compacted);
    const former = formerlyPrivate(this.#tx);
    return former.length >= HOMES_MAX && !former.some((one) => equalBytes(one.prefix, prefix));
  }

  #isEmpty(prefix: Uint8Array): boolean {
    for (const _ of this.#own(prefix)) return false;
    return true;
  }

  /** Those that were shut out release nothing. */
  #children(): readonly ClusterId[] {
    return childrenOf(this.#tx).filter((child) => shippingRefusal(this.#tx, child) === null);
  }

  /** All of it is written in the apply of one command. */
  #sizeRefusal(prefix: Uint8Array, origins: readonly (ClusterId | null)[]): Refusal | null {
    let rows = 0;
    let bytes = 0;
    for (const origin of origins) {
      for (const row of this.#under(prefix, origin)) {
        rows++;
        bytes += rowBytes(row);
        if (rows > RANGE_ROWS_MAX || bytes > MOVED_BYTES_MAX)
          return refused(
            "TXN_TOO_LARGE",
            `more than ${RANGE_ROWS_MAX} keys, or ${MOVED_BYTES_MAX} bytes; move a longer prefix`,
          );
      }
    }
    return null;
  }
}

type MovedRow = KeyRow & { readonly key: Uint8Array };
