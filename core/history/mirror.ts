/**
 * A sender's ledger as it is held here: the bodies out of our own records, and the gaps between them, in the sender's order
 * and chained by the sender's own hashes (L2). So whoever reads it can tell at every revision whether it is a prefix of what
 * the sender wrote.
 */
import { equalBytes } from "../bytes.ts";
import { invariant, OpenClawError } from "../errors.ts";
import type { LinkId, Revision } from "../ids.ts";
import { isClusterId, PARTITION, revision } from "../ids.ts";
import { chainHash, leafHash } from "../ledger/chain.ts";
import type { LedgerFault } from "../ledger/fault.ts";
import { seamsOf } from "../ledger/lineage.ts";
import { decodeRecord } from "../ledger/record-codec.ts";
import type { Seams } from "../ledger/verify.ts";
import type { Sha256, StoredRecord } from "../ports.ts";
import { boundsOfGap, ledgerLinkKey, linkGapsRange } from "../state-machine/keyspace.ts";
import { type Gap, gapRow, MARK_EVERY } from "../state-machine/link-gaps.ts";
import { ledgerLinkRow } from "../state-machine/link-rows.ts";
import { readPosition } from "../state-machine/position.ts";
import { rowsOf } from "../state-machine/row-pages.ts";
import type { StateView } from "../state-machine/view.ts";
import type { HistoryQuery, Mirror, MirrorItem } from "./history-query.ts";

/** Bytes of our own records that are looked through between two pauses. */
const STEP_BYTES = 65_536;

interface Source {
  readonly sha256: Sha256;
  readonly state: StateView;
  /** As `HistorySource.records`. */
  records(from: Revision, maxBytes: number): readonly StoredRecord[];
}
type Question = Extract<HistoryQuery, { kind: "mirror" }>;

/** @throws OpenClawError REVISION_AHEAD when the link is not that far */
export function* mirrorOf(source: Source, question: Question): Generator<void, Mirror> {
  const bytes = source.state.get(ledgerLinkKey(question.link));
  if (bytes === undefined) return { link: null, before: null, items: [], fault: null };
  const { epoch, ancestors, cursor, hash } = ledgerLinkRow.decode(bytes);
  const link = { epoch, ancestors, cursor, hash };
  if (question.from > cursor + 1)
    throw new OpenClawError("REVISION_AHEAD", `revision ${question.from}, here ${cursor}`);
  if (question.from === cursor + 1) return { link, before: hash, items: [], fault: null };
  const reader = new MirrorReader(source, question, link);
  const fault = yield* reader.read();
  return { link, before: reader.before, items: reader.items, fault };
}

/** The sender's hash at a revision at or below the link's cursor; null in a gap, or where that is compacted. */
export async function senderHash(
  read: (question: Question) => Promise<Mirror>,
  link: LinkId,
  at: Revision,
): Promise<Uint8Array | null> {
  const from = revision(at + 1);
  const { before, items } = await read({ kind: "mirror", link, from, bytes: 1 });
  const [first] = items;
  return first?.kind === "gap" && first.from < from ? null : before;
}

interface Body {
  readonly revision: Revision;
  readonly record: Uint8Array;
  /** Our own revision that holds it. */
  readonly at: Revision;
}

class MirrorReader {
  readonly items: MirrorItem[] = [];
  before: Uint8Array | null = null;
  readonly #source: Source;
  readonly #question: Question;
  readonly #end: NonNullable<Mirror["link"]>;
  /** What the sender's next record is chained to, where one of its epochs departed (L3). */
  readonly #seams: Seams;
  readonly #gaps: Iterator<Gap>;
  /** The next that was not come to; undefined: there is none. */
  #gap: Gap | undefined;
  /** The sender's revision that is due, its hash before that, and ours behind which its body stands. */
  #next: number = 0;
  #hash: Uint8Array | null = null;
  #at: Revision = revision(0);
  /** The first body since the last hash that came over the link. */
  #since: Revision | null = null;
  #bytes = 0;

  constructor(source: Source, question: Question, end: NonNullable<Mirror["link"]>) {
    this.#source = source;
    this.#question = question;
    this.#end = end;
    const { link } = question;
    invariant(isClusterId(link), "a ledger's link is a cluster's name");
    this.#seams = seamsOf(source.sha256, link, PARTITION, end);
    this.#gaps = gapsOf(source.state, question.link, revision(Math.max(0, question.from - 1 - MARK_EVERY)));
    this.#begin();
  }

  /** At the last gap or mark before what is asked for, or at the gap that it is in. */
  #begin(): void {
    this.#step();
    for (let gap = this.#gap; gap !== undefined && gap.to < this.#question.from; gap = this.#gap) {
      this.#pass(gap);
      this.#step();
    }
    const due = this.#gap;
    // None is before it only where what was is compacted, and then it begins with that.
    if (due === undefined || (this.#hash !== null && due.from >= this.#question.from)) return;
    this.#next = due.from;
    this.#hash = due.before;
  }

  #step(): void {
    const step = this.#gaps.next();
    this.#gap = step.done === true ? undefined : step.value;
  }

  #pass({ to, hash, at }: Pick<Gap, "to" | "hash" | "at">): void {
    this.#next = to + 1;
    this.#hash = hash;
    this.#at = at;
    this.#since = null;
  }

  *read(): Generator<void, LedgerFault | null> {
    try {
      return yield* this.#read();
    } catch (error) {
      if (!(error instanceof OpenClawError) || error.code !== "MALFORMED_FRAME") throw error;
      return { revision: revision(this.#next), kind: "unreadable", details: error.details };
    }
  }

  *#read(): Generator<void, LedgerFault | null> {
    while (this.#next <= this.#end.cursor && this.#bytes < this.#question.bytes) {
      const gap = this.#gap;
      if (gap?.from === this.#next) {
        const fault = this.#checked(gap.before);
        if (fault !== null) return fault;
        this.#add(gap);
        this.#step();
        continue;
      }
      if (this.#at + 1 < this.#compacted) {
        yield* this.#passCompacted();
        continue;
      }
      const body = yield* this.#body();
      // What it stood in is compacted by now.
      if (body === null && this.#at + 1 < this.#compacted) continue;
      if (body?.revision !== this.#next) return this.#missing(body);
      this.#take(body);
    }
    // An import meanwhile may have made the last gap longer.
    return this.#next === this.#end.cursor + 1 ? this.#checked(this.#end.hash) : null;
  }

  #add(gap: Gap): void {
    const { from, to, hash, reason } = gap;
    if (to >= from && to >= this.#question.from) this.#emit({ kind: "gap", from, to, hash, reason }, hash.length);
    this.#pass(gap);
  }

  #take({ revision: at, record, at: here }: Body): void {
    const { sha256 } = this.#source;
    invariant(this.#hash !== null, "a hash is known before each body");
    const before = this.#seams(revision(at - 1), this.#hash);
    const hash = chainHash(sha256, before, PARTITION, at, leafHash(sha256, record));
    if (at >= this.#question.from) this.#emit({ kind: "body", revision: at, record, hash }, record.length);
    this.#since ??= at;
    this.#next = at + 1;
    this.#hash = hash;
    this.#at = here;
  }

  #emit(item: MirrorItem, bytes: number): void {
    if (this.items.length === 0) this.before = this.#hash;
    this.items.push(item);
    this.#bytes += bytes;
  }

  /** Bodies from here to the first gap or mark behind which all of them are kept are gone, some of them or all. */
  *#passCompacted(): Generator<void> {
    const from = revision(this.#next);
    const compacted = this.#compacted;
    let looked = 0;
    while (this.#gap !== undefined && this.#gap.at + 1 < compacted) {
      this.#step();
      if (++looked % MARK_EVERY === 0) yield;
    }
    const { to, hash, at } = this.#gap ?? { to: this.#end.cursor, hash: this.#end.hash, at: revision(compacted) };
    this.#step();
    this.#add({ from, to, before: null, hash, at, reason: "compacted" });
  }

  /** The next body of the link behind `#at`; null: there is none. */
  *#body(): Generator<void, Body | null> {
    const newest = readPosition(this.#source.state).revision;
    for (let next: number = this.#at + 1; next <= newest; ) {
      if (next < this.#compacted) return null;
      const records = this.#source.records(revision(next), STEP_BYTES);
      if (records.length === 0) return null;
      for (const stored of records) {
        const record = decodeRecord(stored.record);
        // A snapshot's is no body, and its revisions are in a gap.
        if (record.link === this.#question.link && record.body !== null)
          return {
            revision: decodeRecord(record.body).revision,
            record: new Uint8Array(record.body),
            at: stored.revision,
          };
        next = stored.revision + 1;
      }
      yield;
    }
    return null;
  }

  #missing(body: Body | null): LedgerFault {
    const found = body === null ? "nothing" : `revision ${body.revision}`;
    return { revision: revision(this.#next), kind: "order", details: `${found} stands in its place` };
  }

  /** @param hash what came over the link for the last revision that was read */
  #checked(hash: Uint8Array | null): LedgerFault | null {
    if (hash === null || this.#hash === null || equalBytes(hash, this.#hash)) return null;
    const details = `from here to ${this.#next - 1} bodies do not lead to the hash that came over the link`;
    return { revision: this.#since ?? revision(this.#next - 1), kind: "chain", details };
  }

  get #compacted(): Revision {
    return readPosition(this.#source.state).compacted;
  }
}

/** Those that end at `to` or later. */
function* gapsOf(state: StateView, link: LinkId, to: Revision): Generator<Gap, undefined> {
  const range = linkGapsRange(link, to);
  for (const { key, value } of rowsOf(state, range.from, range.to))
    yield { ...boundsOfGap(key), ...gapRow.decode(value) };
}
