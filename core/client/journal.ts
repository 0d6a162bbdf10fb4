/**
 * Every write to the device's storage, one after the other. What waits while one is in flight is the next one (R3), so
 * that a hundred edits cost one transaction; each part of it is still stored wholly or not at all. New rows get their
 * numbers here, so that a number whose write failed is not a hole in the stream.
 */
import { InvariantViolation, OpenClawError } from "../errors.ts";
import { revision, type Seq, seq } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX } from "../limits.ts";
import type { UserCommand } from "../state-machine/command.ts";
import { commandBytes } from "../state-machine/command-size.ts";
import { isEdit, type LocalEdit } from "./edit.ts";
import { mirrorName } from "./mirror-name.ts";
import type { Outbox, Unanswered } from "./outbox.ts";
import type { ClientStore, ClientWrite, OutboxRow } from "./store.ts";

/** A command on its way into the outbox. */
export interface Draft {
  readonly command: UserCommand;
  readonly edits: readonly LocalEdit[];
  readonly round: number;
}

/** One step: its drafts and its write are stored together. */
export interface JournalPart {
  readonly drafts?: readonly Draft[];
  readonly write?: ClientWrite;
  /**
   * A write made of what is known once everything before it is stored, and of nothing that comes behind it: a step by itself.
   * Whoever awaited `commit` of a part before it has gone on by then.
   */
  readonly late?: () => ClientWrite;
  /** Drafts go to this outbox from here on: the parent forgot the one before. */
  readonly outbox?: Outbox;
  /** So do they, but for those that wait already: they were made for the parent before. */
  readonly moved?: Outbox;
}

/** Changes of one document in one row: they stand or fall together, and take one revision. */
const ROW_CHANGES_MAX = 256;
const ROW_BYTES_MAX = BATCH_BYTES_MAX / 4;

interface Waiting {
  readonly part: JournalPart;
  /** Where its drafts go; null: to the outbox that there is by then. */
  outbox: Outbox | null;
  readonly resolve: () => void;
  readonly reject: (error: OpenClawError) => void;
}

export class Journal {
  readonly #store: ClientStore;
  readonly #queued: () => void;
  readonly #wrote: (write: ClientWrite) => void;
  #outbox: Outbox;
  #waiting: Waiting[] = [];
  #running = false;
  /** Edits of the write in flight. */
  #writing = 0;

  /**
   * @param queued called when new rows are in the outbox
   * @param wrote called with what is stored
   */
  constructor(store: ClientStore, outbox: Outbox, queued: () => void, wrote: (write: ClientWrite) => void) {
    this.#store = store;
    this.#outbox = outbox;
    this.#queued = queued;
    this.#wrote = wrote;
  }

  /** The outbox that drafts go to. */
  get outbox(): Outbox {
    return this.#outbox;
  }

  /** Edits that are not yet stored. */
  get unstored(): number {
    return this.#writing + this.#waiting.reduce((sum, { part }) => sum + editsOf(part), 0);
  }

  /** Resolves when the part is stored and its rows are in the outbox. @throws OpenClawError CLIENT_STORAGE_FAILED */
  commit(part: JournalPart): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ part, outbox: null, resolve, reject });
      if (this.#running) return;
      this.#running = true;
      // What the caller does in the same turn shares the write.
      void Promise.resolve().then(() => this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      this.#writing = batch.reduce((sum, { part }) => sum + editsOf(part), 0);
      try {
        await this.#write(batch);
      } catch (error) {
        await this.#oneByOne(batch, storageError(error));
      }
      this.#writing = 0;
    }
    this.#running = false;
  }

  /** One bad part must not take the others with it; but a change that follows a lost one is lost, too. */
  async #oneByOne(batch: readonly Waiting[], first: OpenClawError): Promise<void> {
    const lost = new Set<string>();
    const refuse = (one: Waiting, error: OpenClawError): void => {
      for (const name of documentsOf(one.part)) lost.add(name);
      one.reject(error);
    };
    for (const one of batch) {
      if (batch.length === 1 || documentsOf(one.part).some((name) => lost.has(name))) refuse(one, first);
      else await this.#write([one]).catch((error: unknown) => refuse(one, storageError(error)));
    }
    const behind = this.#waiting.filter(({ part }) => documentsOf(part).some((name) => lost.has(name)));
    this.#waiting = this.#waiting.filter((one) => !behind.includes(one));
    for (const one of behind) one.reject(first);
  }

  #take(): Waiting[] {
    let drafts = 0;
    let count = 0;
    for (const { part, outbox } of this.#waiting) {
      drafts += part.drafts?.length ?? 0;
      // A reset of the mirror, or of the outbox, comes before the rows of its own write: nothing may be in front of it.
      const isOther = outbox !== (this.#waiting[0]?.outbox ?? null);
      const isStep = part.outbox !== undefined || part.moved !== undefined || part.late !== undefined;
      const first = part.write?.mirrorReset === true || isStep || isOther;
      if (count > 0 && (drafts > BATCH_ITEMS_MAX || first)) break;
      count++;
      if (part.late !== undefined || part.moved !== undefined) break;
    }
    return this.#waiting.splice(0, count);
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const outbox = batch[0]?.part.outbox ?? batch[0]?.outbox ?? this.#outbox;
    const rows = rowsOf(
      batch.flatMap(({ part }) => part.drafts ?? []),
      outbox,
    );
    const changes = rows.flatMap(({ row: { command } }) => (command.kind === "change" ? [command] : []));
    const write = merged([
      { enqueue: rows.map(({ row }) => row), changes },
      ...batch.flatMap(({ part: { write = {}, late } }) => (late === undefined ? [write] : [write, late()])),
    ]);
    await this.#store.write(write);
    this.#wrote(write);
    this.#goOn(batch[0]?.part ?? {});
    this.#writing = 0;
    for (const row of rows) outbox.add(row);
    for (const { resolve } of batch) resolve();
    if (rows.length > 0) this.#queued();
  }

  #goOn({ outbox, moved }: JournalPart): void {
    if (moved !== undefined) for (const one of this.#waiting) one.outbox ??= this.#outbox;
    this.#outbox = moved ?? outbox ?? this.#outbox;
  }
}

const editsOf = ({ drafts = [] }: JournalPart): number => drafts.filter(({ command }) => isEdit(command)).length;

const documentsOf = (part: JournalPart): readonly string[] =>
  (part.drafts ?? []).flatMap(({ command }) =>
    command.kind === "change" ? [JSON.stringify([command.collection, command.document])] : [],
  );

/** Drafts as rows, numbered. Neighbours of one document become one row. */
function rowsOf(drafts: readonly Draft[], outbox: Outbox): Unanswered[] {
  const rows: { command: UserCommand; edits: readonly LocalEdit[]; round: number; bytes: number }[] = [];
  for (const { command, edits, round } of drafts) {
    const bytes = commandBytes(command);
    const last = rows.at(-1);
    if (last !== undefined && last.round === round && last.bytes + bytes <= ROW_BYTES_MAX) {
      const joined = join(last.command, command);
      if (joined !== null) {
        last.command = joined;
        last.edits = [...last.edits, ...edits];
        last.bytes += bytes;
        continue;
      }
    }
    rows.push({ command, edits, round, bytes });
  }
  return rows.map(({ command, edits, round }, i) => {
    const at: Seq = seq(outbox.nextSeq + i);
    const { link, site } = outbox;
    const row: OutboxRow = { link, seq: at, command, ...(site === null ? {} : { site }) };
    return { row, edits, round };
  });
}

function join(first: UserCommand, second: UserCommand): UserCommand | null {
  if (first.kind !== "change" || second.kind !== "change") return null;
  if (first.collection !== second.collection || first.document !== second.document) return null;
  if (first.changes.length + second.changes.length > ROW_CHANGES_MAX) return null;
  const changes: readonly DocumentChange[] = [...first.changes, ...second.changes];
  return { ...first, changes };
}

function merged(writes: readonly ClientWrite[]): ClientWrite {
  const last = <K extends keyof ClientWrite>(field: K): Pick<ClientWrite, K> | undefined =>
    writes.findLast((write) => write[field] !== undefined);
  const down = last("down")?.down;
  const holds = writes.flatMap(({ hubHolds }) => (hubHolds === undefined ? [] : [hubHolds]));
  const hubHolds = holds.length === 0 ? undefined : revision(Math.max(...holds));
  // Keys are joined by the caller of each write; between two of them the later one must win.
  const mirror = lastOfEachKey(writes);
  return {
    enqueue: writes.flatMap((write) => write.enqueue ?? []),
    changes: writes.flatMap((write) => write.changes ?? []),
    replaced: writes.flatMap((write) => write.replaced ?? []),
    dropped: writes.flatMap((write) => write.dropped ?? []),
    answered: writes.flatMap((write) => write.answered ?? []),
    awaiting: writes.flatMap((write) => write.awaiting ?? []),
    failed: writes.flatMap((write) => write.failed ?? []),
    forgetFailed: writes.flatMap((write) => write.forgetFailed ?? []),
    quarantined: writes.flatMap((write) => write.quarantined ?? []),
    released: writes.flatMap((write) => write.released ?? []),
    ...mirror,
    ...(down === undefined ? {} : { down }),
    ...(hubHolds === undefined ? {} : { hubHolds }),
    ...(writes.some((write) => write.mirrorReset === true) ? { mirrorReset: true } : {}),
  };
}

function lastOfEachKey(writes: readonly ClientWrite[]): Pick<ClientWrite, "mirrorPuts" | "mirrorDeletes"> {
  const touching = writes.filter((write) => (write.mirrorPuts?.length ?? 0) + (write.mirrorDeletes?.length ?? 0) > 0);
  const [only] = touching;
  if (only === undefined) return {};
  if (touching.length === 1) return { mirrorPuts: only.mirrorPuts ?? [], mirrorDeletes: only.mirrorDeletes ?? [] };
  const puts = new Map<string, NonNullable<ClientWrite["mirrorPuts"]>[number]>();
  const deletes = new Map<string, NonNullable<ClientWrite["mirrorDeletes"]>[number]>();
  for (const write of touching) {
    for (const row of write.mirrorPuts ?? []) {
      deletes.delete(mirrorName(row));
      puts.set(mirrorName(row), row);
    }
    for (const row of write.mirrorDeletes ?? []) {
      puts.delete(mirrorName(row));
      deletes.set(mirrorName(row), row);
    }
  }
  return { mirrorPuts: [...puts.values()], mirrorDeletes: [...deletes.values()] };
}

function storageError(error: unknown): OpenClawError {
  if (error instanceof InvariantViolation) throw error;
  return error instanceof OpenClawError
    ? error
    : new OpenClawError("CLIENT_STORAGE_FAILED", String(error), { cause: error });
}
