/**
 * The queued commands of one link, in order: what is stored here and not yet answered. The source of the link's pushes.
 * A row leaves when its outcome is stored, and only then does the low-water mark pass it (Q1).
 */
import { invariant } from "../errors.ts";
import { type LinkId, type Seq, seq } from "../ids.ts";
import { BATCH_BYTES_MAX, RESPONSES_BYTES_MAX, RESULTS_MAX } from "../limits.ts";
import type { UserCommand } from "../state-machine/command.ts";
import { commandBytes, responseBytesMax } from "../state-machine/command-size.ts";
import type { Push, PushSource } from "../sync/child-link.ts";
import { AttemptEdit, isEdit, type LocalEdit } from "./edit.ts";
import { isNothing } from "./nothing.ts";
import type { OutboxRow, SiteLife } from "./store.ts";

/** Commands in one push: half of what the parent remembers for us, so that two pushes can be under way. */
const PUSH_COMMANDS_MAX = RESULTS_MAX / 2;
/**
 * Pushes that go at once, however little is in them. What somebody types shows elsewhere when it comes to a gateway (D5), and
 * does not wait until what went before is committed.
 */
const PUSHES_AT_ONCE = 4;
/** Commands, for each push that is in flight, or bytes, that make another push worth a frame. */
const PUSH_COMMANDS_MIN = 16;
const PUSH_BYTES_MIN = 65_536;
/** Rows, and bytes, that wait for an answer; a further edit is refused OVERLOADED. */
const OUTBOX_ROWS_MAX = 100_000;
const OUTBOX_BYTES_MAX = 256 * BATCH_BYTES_MAX;

/** A stored row that has no outcome yet. */
export interface Unanswered {
  readonly row: OutboxRow;
  /** Those of this page that wait for it; a row of a dead page has none. */
  readonly edits: readonly LocalEdit[];
  /** How often its changes were sent again with what the parent missed (D3). */
  readonly round: number;
}

/** Nothing that an app wrote is dropped in silence. A lease, and who repeats its transaction, is told and has no more to say. */
export const isKept = ({
  command,
  edits,
}: {
  readonly command: UserCommand;
  readonly edits: readonly LocalEdit[];
}): boolean => isEdit(command) && !edits.some((edit) => edit instanceof AttemptEdit);

export class Outbox implements PushSource {
  readonly link: LinkId;
  #site: SiteLife | null = null;
  readonly #rows = new Map<Seq, Unanswered>();
  /** Rows whose outcome is here, and being stored. */
  readonly #answered = new Set<Seq>();
  #bytes = 0;
  #edits = 0;
  /** Of the responses that the rows may get. */
  #responseBytes = 0;
  #nextSeq: Seq;
  #sentTo = 0;
  #unsureTo = 0;
  /** Fetches rows that are not in memory; null when there are none. */
  readonly #more: (() => Promise<void>) | null;
  #fetching: Promise<void> | null = null;

  constructor(link: LinkId, nextSeq: Seq, more: (() => Promise<void>) | null = null) {
    this.link = link;
    this.#nextSeq = nextSeq;
    this.#more = more;
  }

  /** What new rows are for; null before a site was met. */
  get site(): SiteLife | null {
    return this.#site;
  }

  meet({ cluster, epoch }: SiteLife): void {
    this.#site = { cluster, epoch };
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Rows that are edits. */
  get edits(): number {
    return this.#edits;
  }

  get nextSeq(): Seq {
    return this.#nextSeq;
  }

  get full(): boolean {
    return this.#rows.size >= OUTBOX_ROWS_MAX || this.#bytes >= OUTBOX_BYTES_MAX;
  }

  /** The first row without an outcome: everything below it is settled and stored. */
  get lowWater(): Seq {
    return this.#rows.keys().next().value ?? this.#nextSeq;
  }

  rows(): Iterable<Unanswered> {
    return this.#rows.values();
  }

  /** Those of use now or never: their callers are told, and repeat them or do not. */
  passing(): readonly Unanswered[] {
    return [...this.rows()].filter(({ row: { command }, edits }) => !isNothing(command) && !isKept({ command, edits }));
  }

  /** Takes up the outcome of a row, once: false if it is settled, or about to be. */
  answer(at: Seq): Unanswered | undefined {
    if (this.#answered.has(at)) return undefined;
    const unanswered = this.#rows.get(at);
    if (unanswered !== undefined) this.#answered.add(at);
    return unanswered;
  }

  /** The outcome could not be stored: it will come again. */
  unanswer(at: Seq): void {
    this.#answered.delete(at);
  }

  /** A connection ended with pushes unanswered: whether they took place is not known. */
  lostSight(): void {
    this.#unsureTo = this.#sentTo;
  }

  /** True if the parent may have run it. */
  mayHaveRun(at: Seq): boolean {
    return at <= this.#unsureTo;
  }

  /** A row that is stored now. Rows come in their order. */
  add(unanswered: Unanswered): void {
    const { seq: at, command } = unanswered.row;
    invariant(at >= this.#nextSeq, `row ${at} of an outbox that is at ${this.#nextSeq}`);
    this.#nextSeq = seq(at + 1);
    this.#rows.set(at, unanswered);
    this.#count(command, 1);
  }

  /** Another command in the place of a row's, which keeps its number: those who wait for the one before. */
  replace(row: OutboxRow): readonly LocalEdit[] {
    const { seq: at, command, link } = row;
    const before = link === this.link ? this.#rows.get(at) : undefined;
    if (before === undefined) return [];
    this.#count(before.row.command, -1);
    this.#count(command, 1);
    this.#rows.set(at, { row, edits: [], round: 0 });
    return before.edits;
  }

  #count(command: UserCommand, sign: 1 | -1): void {
    this.#bytes += sign * commandBytes(command);
    if (isEdit(command)) this.#edits += sign;
    this.#responseBytes += sign * responseBytesMax(command);
  }

  /** Rows of an earlier session: whether the parent has run them is not known. */
  restore(rows: readonly OutboxRow[]): void {
    for (const row of rows) this.add({ row, edits: [], round: 0 });
    this.#unsureTo = this.#nextSeq - 1;
  }

  /** Its outcome is stored. */
  settle(at: Seq): Unanswered | undefined {
    const unanswered = this.#rows.get(at);
    if (unanswered === undefined) return undefined;
    this.#rows.delete(at);
    this.#answered.delete(at);
    this.#count(unanswered.row.command, -1);
    return unanswered;
  }

  oldest(): number {
    return this.lowWater - 1;
  }

  async next(after: number, inFlight = 0): Promise<Push | null> {
    if (this.#rows.size === 0) await this.#fetch();
    const { lowWater } = this;
    // Never more than the parent remembers the outcomes of: the rest waits until we have stored some.
    const end = lowWater + RESULTS_MAX;
    const commands: UserCommand[] = [];
    let from = 0;
    let bytes = 0;
    let room = this.#roomAfter(after);
    for (let at = Math.max(after + 1, lowWater); at < Math.min(end, this.#nextSeq); at++) {
      const row = this.#rows.get(seq(at))?.row;
      if (row === undefined) {
        // Settled while a later one is not: a push has no holes, so this one ends here, or has not begun.
        if (commands.length > 0) break;
        continue;
      }
      const size = commandBytes(row.command);
      if (commands.length > 0 && (commands.length >= PUSH_COMMANDS_MAX || bytes + size > BATCH_BYTES_MAX)) break;
      room -= responseBytesMax(row.command);
      if (room < 0) break;
      if (commands.length === 0) from = at;
      commands.push(row.command);
      bytes += size;
    }
    if (commands.length === 0) return null;
    // R3: behind those, what comes meanwhile is the next one; more at a time only if they are worth a frame.
    const isWorthIt = commands.length >= PUSH_COMMANDS_MIN * inFlight || bytes >= PUSH_BYTES_MIN;
    if (inFlight >= PUSHES_AT_ONCE && !isWorthIt) return null;
    const to = from + commands.length - 1;
    this.#sentTo = Math.max(this.#sentTo, to);
    return { to, message: { kind: "pushCommands", from: seq(from), lowWater, commands } };
  }

  /** Bytes of responses that the parent is sure to have room for behind those of what was sent. */
  #roomAfter(sent: number): number {
    if (this.#responseBytes <= RESPONSES_BYTES_MAX) return RESPONSES_BYTES_MAX;
    let room = RESPONSES_BYTES_MAX;
    for (let at = this.lowWater; at <= sent; at++) {
      const row = this.#rows.get(at)?.row;
      if (row !== undefined) room -= responseBytesMax(row.command);
    }
    return room;
  }

  /** Once for all who ask meanwhile: a row is taken up once. */
  #fetch(): Promise<void> | null {
    this.#fetching ??=
      this.#more?.().finally(() => {
        this.#fetching = null;
      }) ?? null;
    return this.#fetching;
  }
}
