/** Key-values of a client: reads from the mirror of what it subscribed to, or from its gateway; writes through the outbox. */
import { compareBytes, prefixEnd, startsWith, toHex } from "../bytes.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { type ClusterId, isClusterId, type Revision, revision } from "../ids.ts";
import { type PositionToken, positionText } from "../ledger/position-token.ts";
import { KEY_BYTES_MAX, RANGE_ROWS_MAX, VALUE_BYTES_MAX } from "../limits.ts";
import type { Clock } from "../ports.ts";
import type { ReadMode } from "../replica/read-mode.ts";
import type { KeyCommand, UserCommand } from "../state-machine/command.ts";
import { compareAndSet } from "../state-machine/compare-and-set.ts";
import { plainRange, type RangeRequest, type RangeResponse, type Txn } from "../state-machine/operation.ts";
import { mapTxn } from "../state-machine/operation-bytes.ts";
import type { Answer } from "../state-machine/query.ts";
import { keyAfter } from "../state-machine/row-pages.ts";
import { txnRefusal } from "../state-machine/txn-check.ts";
import type { Asked } from "../sync/child-questions.ts";
import type { ChildQuery } from "../sync/message.ts";
import { AttemptEdit, type Edit, type Further, LocalEdit, LocalTxnEdit, type TxnEdit } from "./edit.ts";
import type { ranAtHome } from "./home-outcome.ts";
import type { Draft } from "./journal.ts";
import { type KeyMirror, KeyMirrors } from "./key-mirrors.ts";
import { type Bytes, type KeyChange, type KeyEvent, type KeyReading, type KeyRow, toBytes } from "./key-row.ts";
import { callListener } from "./listener.ts";
import type { ReadOptions, ReadSession } from "./read-session.ts";
import type { Rungs } from "./rungs.ts";
import type { StandardSchema } from "./standard-schema.ts";
import type { ClientStore } from "./store.ts";
import { jsonCodec, TypedKeys, type ValueCodec } from "./typed.ts";

/** What keys need of their client. */
export interface KeysHost {
  readonly store: ClientStore;
  readonly rungs: Rungs;
  readonly clock: Clock;
  /** @throws OpenClawError OVERLOADED, STOPPED */
  assertRoom(): void;
  enqueue(draft: Draft): void;
  /** @throws OpenClawError UNAVAILABLE, FORBIDDEN, … */
  ask<Q extends ChildQuery>(query: Q, mode: ReadMode): Promise<Asked<Q>>;
  readonly session: ReadSession;
  online(): Promise<{ readonly ranAtHome: typeof ranAtHome }>;
  /** The gateway's ledger ends there. @throws OpenClawError UNAVAILABLE, OVERLOADED */
  head(timeoutMs: number): Promise<Revision>;
  /** Something is to come of the site, and nothing came yet. */
  awaitsFirst(): boolean;
  /** Nothing will: the site has nothing. */
  nothingThere(): void;
  /** What the mirror shows; null before its site was met. */
  mirrored(): PositionToken | null;
  /** True if the mirror holds every key of that prefix and origin. */
  covers(prefix: Uint8Array, origin: string | null): boolean;
  subscribePrefix(prefix: Uint8Array, origin: string | null): void;
}

/** An own write that the mirror does not show yet. */
interface Overlay {
  readonly key: Uint8Array;
  /** Null deletes. */
  row: KeyRow | null;
  /** The site's revision once known: the mirror shows it when it is past that. */
  at: Revision | null;
}

const ASKED_ROWS_MAX = 1_000;

export class Keys {
  readonly #host: KeysHost;
  readonly #further: Further;
  readonly #overlays = new Map<string, readonly Overlay[]>();
  readonly #live: KeyMirrors;
  /** The mirror shows the site's ledger up to here. */
  #cursor = revision(0);
  readonly #watchers = new Set<{
    readonly prefix: Uint8Array;
    readonly listener: (events: readonly KeyEvent[]) => void;
  }>();

  constructor(host: KeysHost) {
    this.#host = host;
    this.#further = [host.rungs, async (at) => (await host.online()).ranAtHome(host, at)];
    this.#live = new KeyMirrors(host, () => this.#ownRows());
  }

  /** The value of a key, or null. @throws OpenClawError as `read` */
  async get(key: Bytes, options: ReadOptions = {}): Promise<KeyRow | null> {
    return (await this.read(key, options)).row;
  }

  /**
   * The value of a key, and how far the state that it was read from had come.
   * @throws OpenClawError UNAVAILABLE, FORBIDDEN, KEY_EMPTY, KEY_TOO_LARGE, BAD_REQUEST; WRONG_CLUSTER, WRONG_EPOCH, FORK
   * for a `minRevision` that is not of this site's ledger
   */
  async read(key: Bytes, options: ReadOptions = {}): Promise<KeyReading> {
    const bytes = checkedKey(key);
    const origin = options.origin ?? null;
    const mode = this.#host.session.mode(options);
    if (!this.#mirrors(bytes, origin, mode)) {
      const { answer, seen } = await this.#host.ask({ kind: "get", origin: clusterOf(origin), key: bytes }, mode);
      return { row: answer.row, position: positionText(seen.position), staleMs: seen.staleMs };
    }
    const here = this.#host.mirrored();
    const position = here === null ? null : positionText(here);
    const own = origin === null ? this.#overlays.get(toHex(bytes))?.at(-1) : undefined;
    if (own !== undefined) return { row: own.row, position, staleMs: null };
    const [row = null] = await this.#host.store.mirror(origin, bytes, keyAfter(bytes));
    return { row, position, staleMs: null };
  }

  /** Rows whose key starts with `prefix`, in key order. @throws OpenClawError as `read` */
  async list(prefix: Bytes, options: ReadOptions = {}): Promise<readonly KeyRow[]> {
    const bytes = toBytes(prefix);
    const origin = options.origin ?? null;
    const mode = this.#host.session.mode(options);
    if (!this.#mirrors(bytes, origin, mode)) return this.#listAsked(bytes, clusterOf(origin), mode);
    const rows = new Map(
      (await this.#host.store.mirror(origin, bytes, prefixEnd(bytes) ?? null)).map((row): [string, KeyRow] => [
        toHex(row.key),
        row,
      ]),
    );
    if (origin === null) {
      for (const { key, row } of this.#ownRows()) {
        if (!startsWith(key, bytes)) continue;
        if (row === null) rows.delete(toHex(key));
        else rows.set(toHex(key), row);
      }
    }
    return [...rows.values()].sort((a, b) => compareBytes(a.key, b.key));
  }

  /** Rows of the site with all that is known of each, sorted, bounded and counted as asked. @throws OpenClawError as `read` */
  async range(request: RangeRequest): Promise<RangeResponse> {
    return (await this.#host.ask({ kind: "range", origin: null, ...request }, { kind: "linearizable" })).answer;
  }

  /** Queues a put. @throws OpenClawError BAD_REQUEST, KEY_EMPTY, KEY_TOO_LARGE, VALUE_TOO_LARGE, OVERLOADED, STOPPED */
  put(key: Bytes, value: Bytes): Edit {
    const command = { kind: "put", key: checkedKey(key), value: checkedValue(value) } as const;
    const edit = this.#write(command, this.#edit());
    this.#overlay(command.key, command.value, edit.site);
    return edit;
  }

  /** Queues a delete; of a key that does not exist it does nothing. @throws OpenClawError KEY_EMPTY, KEY_TOO_LARGE, OVERLOADED, STOPPED */
  delete(key: Bytes): Edit {
    const bytes = checkedKey(key);
    const edit = this.#write({ kind: "deleteRange", keys: { kind: "key", key: bytes } }, this.#edit());
    this.#overlay(bytes, null, edit.site);
    return edit;
  }

  /**
   * Queues a put that takes place only if the key's mod revision is `expected` when it reaches the site; 0 means that the
   * key does not exist. Its `site` rejects with COMPARE_FAILED otherwise.
   */
  compareAndSet(key: Bytes, expected: number, value: Bytes): Edit {
    return this.#write(compareAndSet(checkedKey(key), revision(expected), checkedValue(value)), this.#edit());
  }

  /**
   * Queues a transaction, which runs when it reaches the site: then `response` says which branch ran and what it did.
   * What it writes shows here when it comes back, as only the site knows what the compares lead to.
   * @throws OpenClawError KEY_EMPTY, KEY_TOO_LARGE, VALUE_TOO_LARGE, TXN_TOO_LARGE, DUPLICATE_KEY, OVERLOADED, STOPPED
   */
  txn(txn: Txn): TxnEdit {
    return this.#txn(txn, new LocalTxnEdit(...this.#further));
  }

  /** The same for who repeats it, or has no use for it later: a refusal is not kept among the failed edits. @throws OpenClawError as `txn` */
  attempt(txn: Txn): TxnEdit {
    return this.#txn(txn, new AttemptEdit(...this.#further));
  }

  /**
   * Calls back with every later change under `prefix`, of the site and of mirrored origins, in ledger order, after it is
   * stored here. What is there already, `list` gives: watch first, then list. The returned function ends it.
   * @throws OpenClawError OVERLOADED: this session follows 256 prefixes already
   */
  watch(prefix: Bytes, listener: (events: readonly KeyEvent[]) => void): () => void {
    const bytes = toBytes(prefix);
    this.#host.subscribePrefix(bytes, null);
    const watcher = { prefix: bytes, listener };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /**
   * The rows under `prefix` as they stand on this device, kept up to date, with this page's own writes on top at once.
   * @throws OpenClawError BAD_REQUEST; OVERLOADED as `watch`
   */
  mirror(prefix: Bytes, { origin = null }: Pick<ReadOptions, "origin"> = {}): KeyMirror {
    const bytes = toBytes(prefix);
    this.#host.subscribePrefix(bytes, clusterOf(origin));
    return this.#live.open({ from: bytes, to: prefixEnd(bytes) ?? null, origin });
  }

  /** The same of one key: no row, or one. @throws OpenClawError BAD_REQUEST, KEY_EMPTY, KEY_TOO_LARGE; OVERLOADED as `watch` */
  mirrorKey(key: Bytes, { origin = null }: Pick<ReadOptions, "origin"> = {}): KeyMirror {
    const bytes = checkedKey(key);
    this.#host.subscribePrefix(bytes, clusterOf(origin));
    return this.#live.open({ from: bytes, to: keyAfter(bytes), origin });
  }

  /**
   * The keys under `prefix` with values of a declared form: any Standard Schema (zod, valibot, …). It is checked here, before
   * a value is queued, and never by the site (R9): what others write there is checked when it is read.
   */
  typed<Input, Output>(
    prefix: Bytes,
    schema: StandardSchema<Input, Output>,
    codec: ValueCodec = jsonCodec,
  ): TypedKeys<Input, Output> {
    return new TypedKeys(this, toBytes(prefix), schema, codec);
  }

  /** Events that are stored, in order, and the cursor they lead to. */
  received(events: readonly KeyEvent[], cursor: Revision): void {
    this.#cursor = cursor;
    const shown = this.#keepOverlays(({ at }) => at === null || at > cursor);
    this.#live.received(events, shown, cursor);
    if (events.length === 0) return;
    for (const { prefix, listener } of [...this.#watchers]) {
      const own = events.filter(({ key }) => startsWith(key, prefix));
      if (own.length > 0) callListener(listener, own);
    }
  }

  /** Another session of this device has queued it; true if it shows here, until `site` resolves and the mirror is that far. */
  elsewhere(command: UserCommand, site: Promise<Revision>): boolean {
    if (command.kind === "put") return this.#overlay(command.key, command.value, site);
    if (command.kind !== "deleteRange" || command.keys.kind !== "key") return false;
    return this.#overlay(command.keys.key, null, site);
  }

  get watched(): boolean {
    return this.#watchers.size > 0;
  }

  /** The site was met, in the epoch that is known here. */
  welcomed(): void {
    this.#live.welcomed();
  }

  /** The connection to the site ended. */
  parted(): void {
    this.#live.parted();
  }

  /** L3: the site is in another epoch. What it had of own writes it may lack now: the stream tells. */
  forget(): void {
    this.#cursor = revision(0);
    this.#keepOverlays(({ at }) => at === null);
    this.#live.forget();
  }

  /** Whether this device's mirror may answer. */
  #mirrors(prefix: Uint8Array, origin: string | null, mode: ReadMode): boolean {
    if (!this.#host.covers(prefix, origin)) return false;
    switch (mode.kind) {
      case "local":
        return true;
      case "linearizable":
        return false;
      case "atLeast": {
        const here = this.#host.mirrored();
        const { cluster, epoch, revision: at } = mode.position;
        return here !== null && here.cluster === cluster && here.epoch === epoch && here.revision >= at;
      }
      default:
        return unreachable(mode);
    }
  }

  #edit(): LocalEdit {
    return new LocalEdit([], ...this.#further);
  }

  #txn<E extends LocalTxnEdit>(txn: Txn, edit: E): E {
    const refusal = txnRefusal(txn);
    if (refusal !== null) throw new OpenClawError(refusal.code, refusal.details);
    return this.#write(mapTxn(txn, toBytes), edit);
  }

  #write<E extends LocalEdit>(command: KeyCommand, edit: E): E {
    this.#host.assertRoom();
    this.#host.enqueue({ command, edits: [edit], round: 0 });
    return edit;
  }

  /** Shows a write of this device until the mirror does; true if somebody may look. @param value null: deleted */
  #overlay(key: Uint8Array, value: Uint8Array | null, site: Promise<Revision>): boolean {
    if (!this.#host.covers(key, null) && !this.#live.show(key)) return false;
    const name = toHex(key);
    const row = (at: Revision): KeyRow | null => (value === null ? null : { key, value, modRevision: at });
    const overlay: Overlay = { key, row: row(revision(0)), at: null };
    this.#keep(name, [...(this.#overlays.get(name) ?? []), overlay]);
    this.#live.written(key);
    const remove = (): void => {
      this.#keep(
        name,
        (this.#overlays.get(name) ?? []).filter((one) => one !== overlay),
      );
      this.#live.written(key);
    };
    site.then((at) => {
      if (at <= this.#cursor) return remove();
      overlay.at = at;
      overlay.row = row(at);
      this.#live.written(key);
    }, remove);
    return true;
  }

  #keep(name: string, overlays: readonly Overlay[]): void {
    if (overlays.length === 0) this.#overlays.delete(name);
    else this.#overlays.set(name, overlays);
  }

  /** The keys of which some went. */
  #keepOverlays(isKept: (overlay: Overlay) => boolean): Uint8Array[] {
    const keys: Uint8Array[] = [];
    for (const [name, overlays] of this.#overlays) {
      const kept = overlays.filter(isKept);
      if (kept.length === overlays.length) continue;
      keys.push(...overlays.slice(0, 1).map(({ key }) => key));
      this.#keep(name, kept);
    }
    return keys;
  }

  /** Own writes that the mirror does not show yet, the last of each key. */
  #ownRows(): readonly KeyChange[] {
    return [...this.#overlays.values()].flatMap((overlays) => overlays.at(-1) ?? []);
  }

  async #listAsked(prefix: Uint8Array, origin: ClusterId | null, mode: ReadMode): Promise<readonly KeyRow[]> {
    const to = prefixEnd(prefix) ?? null;
    const rows: KeyRow[] = [];
    let from = prefix;
    let limit = ASKED_ROWS_MAX;
    for (;;) {
      let answer: Answer<Extract<ChildQuery, { kind: "range" }>>;
      try {
        ({ answer } = await this.#host.ask({ kind: "range", origin, ...plainRange(from, to, limit) }, mode));
      } catch (error) {
        // Large values: fewer of them fit one frame. One always does.
        if (!(error instanceof OpenClawError) || error.code !== "FRAME_TOO_LARGE" || limit === 1) throw error;
        limit = Math.max(1, Math.floor(limit / 8));
        continue;
      }
      rows.push(...answer.rows);
      const last = answer.rows.at(-1);
      if (!answer.more || last === undefined) return rows;
      if (rows.length >= RANGE_ROWS_MAX)
        throw new OpenClawError("OVERLOADED", `more than ${RANGE_ROWS_MAX} rows; list a longer prefix`);
      from = keyAfter(last.key);
    }
  }
}

function checkedKey(key: Bytes): Uint8Array {
  const bytes = toBytes(key);
  if (bytes.length === 0) throw new OpenClawError("KEY_EMPTY");
  if (bytes.length > KEY_BYTES_MAX) throw new OpenClawError("KEY_TOO_LARGE", `${bytes.length} bytes`);
  return bytes;
}

function checkedValue(value: Bytes): Uint8Array {
  const bytes = toBytes(value);
  if (bytes.length > VALUE_BYTES_MAX) throw new OpenClawError("VALUE_TOO_LARGE", `${bytes.length} bytes`);
  return bytes;
}

function clusterOf(origin: string | null): ClusterId | null {
  if (origin !== null && !isClusterId(origin))
    throw new OpenClawError("BAD_REQUEST", "the origin is not a cluster's name");
  return origin;
}
