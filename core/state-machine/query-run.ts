/** Answers questions from the rows of one applied index. Pure: what is not asked through `view` is not known here. */
import { utf8Text } from "../bytes.ts";
import { invariant, unreachable } from "../errors.ts";
import type { ClusterId, LeaseId, LinkId } from "../ids.ts";
import { isLinkId, seq } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { changeHashBytes } from "../ledger/record-codec.ts";
import type { StreamState } from "../ledger/snapshot.ts";
import { RANGE_ROWS_MAX } from "../limits.ts";
import type { Sha256 } from "../ports.ts";
import { clientLinkRow } from "./client-links.ts";
import { commandState, commandStates } from "./command-rows.ts";
import { readComparison } from "./comparison.ts";
import { nameRefusal } from "./document-name.ts";
import { bodyKey, bodyRow, changeRow, documentRow } from "./document-rows.ts";
import { everywhere } from "./everywhere.ts";
import type { HomeRow } from "./home.ts";
import { formerlyPrivateIn, homesIn } from "./homes.ts";
import { idempotencySum, idempotentRow } from "./idempotency.ts";
import { RangeAnswer } from "./key-range.ts";
import { keyRow } from "./key-rows.ts";
import {
  CLIENT_LINKS,
  CONTENDERS,
  clientLinkKey,
  contendersRange,
  DocumentKeys,
  documentOfRow,
  documentsRange,
  idempotentKey,
  type KeyRange,
  keyOfLeaseRow,
  keyOfRow,
  keyRange,
  keyRowKey,
  LEDGER_LINKS,
  leaseKey,
  leaseKeysRange,
  ledgerLinkKey,
  leftLivesRange,
  linkOfContender,
  linkOfRow,
  streamKey,
} from "./keyspace.ts";
import { leaseRow } from "./lease-rows.ts";
import { contenderRow, leftLifeRow } from "./life-rows.ts";
import { CONTENDERS_MAX } from "./link-epochs.ts";
import { ledgerLinkRow, marksOf, towardsParent } from "./link-rows.ts";
import { membersOf } from "./members.ts";
import type { KeySelector, KeyValue } from "./operation.ts";
import { originsOf } from "./origins.ts";
import { readPosition } from "./position.ts";
import type { Answer, FirstRequest, LeaseState, LinkState, Query, QueryAnswers } from "./query.ts";
import { pagesOf } from "./row-pages.ts";
import { shedOf } from "./shed.ts";
import { sitesOf } from "./sites.ts";
import { stateHash } from "./state-hash.ts";
import { NO_STREAM, streamRow } from "./stream-rows.ts";
import { uplinkUse } from "./uplink-use.ts";
import type { StateView } from "./view.ts";

/**
 * Bytes of values or changes in one answer; it then ends early with `more` set, after at least one. Half a frame, so
 * that an answer fits one.
 */
export const ANSWER_BYTES_MAX = 2_097_152;

/** Rows counted between two pauses. */
const COUNTED_ROWS = 4_096;

/** Changes fetched between two pauses, each by a read of its own. */
const PAUSE_CHANGES = 64;

/** The answer at once. */
export function query<Q extends Query>(view: StateView, question: Q, sha256: Sha256): Answer<Q> {
  const steps = querySteps(view, question, sha256);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/**
 * The answer, with a pause wherever a millisecond or so may have passed. The view must stay as it is meanwhile; it is read
 * in the order of its keys, from the first scan on.
 */
export function querySteps<Q extends Query>(view: StateView, question: Q, sha256: Sha256): Generator<void, Answer<Q>>;
export function* querySteps(view: StateView, question: Query, sha256: Sha256): Generator<void, Answer<Query>> {
  switch (question.kind) {
    case "get":
      return get(view, question);
    case "range":
      return yield* range(view, question);
    case "everywhere":
      return yield* everywhere(view, question, ANSWER_BYTES_MAX);
    case "document":
      return yield* document(view, question);
    case "documents":
      return { documents: yield* documents(view, question.collection) };
    case "changes":
      return { changes: yield* changes(view, question) };
    case "lease": {
      const { revision } = readPosition(view);
      return { lease: lease(view, question.lease), revision };
    }
    case "idempotency":
      return { first: firstRequest(view, question) };
    case "idempotencySum":
      return idempotencySum(view);
    case "homes": {
      const { rows } = homesIn(view);
      const formerly = formerlyPrivateIn(view).map((one) => ({ ...one, prefix: own(one.prefix) }));
      return { homes: rows.map(ownHome), formerly, ...towardsParent(view) };
    }
    case "command":
      return { command: commandState(view, question.revision, readPosition(view).logTime) };
    case "commands": {
      const { after, limit } = question;
      const { logTime } = readPosition(view);
      return yield* commandStates(view, after, rowsAllowed(limit), logTime);
    }
    case "link":
      return { link: link(view, question.link) };
    case "links":
      return { links: yield* links(view) };
    case "marks":
      return { marks: marksOf(view, question.origin) };
    case "contended":
      return { links: contended(view) };
    case "lives":
      return livesOf(view, question.link);
    case "uplinkUse":
      return { use: uplinkUse(view) };
    case "stream":
      return stream(view, question.link);
    case "origins":
      return originsOf(view);
    case "shed":
      return { shed: shedOf(view) };
    case "members":
      return { members: membersOf(view) };
    case "sites":
      return { sites: sitesOf(view) };
    case "position":
      return readPosition(view);
    case "comparison":
      return readComparison(view);
    case "stateHash": {
      const position = readPosition(view);
      return { ...(yield* stateHash(view, sha256)), position };
    }
    default:
      return unreachable(question);
  }
}

type Of<Kind extends Query["kind"]> = Extract<Query, { kind: Kind }>;

function get(view: StateView, { origin, key }: Of<"get">): QueryAnswers["get"] {
  const from = origin ?? homesIn(view).readAt(key);
  const bytes = view.get(keyRowKey(from, key));
  const row = bytes === undefined ? null : keyValue(key, bytes);
  return { row, revision: readPosition(view).revision, origin: from };
}

function* range(view: StateView, { origin: asked, ...request }: Of<"range">): Generator<void, QueryAnswers["range"]> {
  const origin = asked ?? homesIn(view).readRangeAt(request.keys);
  const { revision } = readPosition(view);
  const answer = new RangeAnswer(request, ANSWER_BYTES_MAX);
  if (request.view === "count" && request.keys.kind === "range") {
    const { from, to } = keyRange(origin, request.keys.from, request.keys.to);
    for (let next: Uint8Array | null = from; next !== null; ) {
      const part = view.count(next, to, COUNTED_ROWS);
      answer.count(part.rows);
      next = part.next;
      if (next !== null) yield;
    }
    return { ...answer.response(), revision, origin };
  }
  for (const rows of selected(view, origin, request.keys)) {
    for (const row of rows) {
      answer.take(row);
      if (answer.complete) break;
    }
    if (answer.complete) break;
    yield;
  }
  const { rows, more, count } = answer.response();
  return { rows: rows.map((row) => ({ ...row, value: own(row.value) })), more, count, revision, origin };
}

/** A page at a time. */
function* selected(view: StateView, origin: ClusterId | null, keys: KeySelector): Generator<readonly KeyValue[]> {
  switch (keys.kind) {
    case "key": {
      const bytes = view.get(keyRowKey(origin, keys.key));
      if (bytes !== undefined) yield [{ key: keys.key, ...keyRow.decode(bytes) }];
      return;
    }
    case "range": {
      const { from, to } = keyRange(origin, keys.from, keys.to);
      for (const page of pagesOf(view, from, to))
        yield page.map(({ key, value }) => ({ key: keyOfRow(origin, key), ...keyRow.decode(value) }));
      return;
    }
    default:
      unreachable(keys);
  }
}

function keyValue(key: Uint8Array, bytes: Uint8Array): KeyValue {
  const row = keyRow.decode(bytes);
  return { key, ...row, value: own(row.value) };
}

function* document(view: StateView, question: Of<"document">): Generator<void, QueryAnswers["document"]> {
  const keys = keysOf(question);
  const stored = keys === null ? undefined : view.get(keys.document);
  if (keys === null || stored === undefined) {
    return { changes: [], position: 0, more: false, heads: [], pending: 0, quarantined: [] };
  }
  const row = documentRow.decode(stored);
  const found: DocumentChange[] = [];
  const most = rowsAllowed(question.limit);
  let position = Math.min(question.after, row.accepted);
  for (let bytes = 0; position < row.accepted && found.length < most && bytes < ANSWER_BYTES_MAX; position++) {
    const body = view.get(keys.accepted(position + 1));
    invariant(body !== undefined, "accepted positions have no holes");
    found.push(ownChange(body));
    bytes += body.length;
    if (found.length % PAUSE_CHANGES === 0) yield;
  }
  const quarantined: { hash: DocumentChange["hash"]; actor: DocumentChange["actor"] }[] = [];
  const range = keys.allQuarantined();
  for (const page of pagesOf(view, range.from, range.to)) {
    for (const { value } of page.slice(0, RANGE_ROWS_MAX - quarantined.length)) {
      const { hash, actor } = bodyRow.decode(value);
      quarantined.push({ hash, actor });
    }
    if (quarantined.length >= RANGE_ROWS_MAX) break;
    yield;
  }
  const { heads, pending } = row;
  return { changes: found, position, more: position < row.accepted, heads, pending, quarantined };
}

/** Null for a name that no document can have. */
const keysOf = ({ collection, document }: Of<"document" | "changes">): DocumentKeys | null =>
  nameRefusal(collection, document) === null ? new DocumentKeys(collection, document) : null;

/** At most RANGE_ROWS_MAX names. */
function* documents(view: StateView, collection: string): Generator<void, string[]> {
  const names: string[] = [];
  if (nameRefusal(collection, "any") !== null) return names;
  const { from, to } = documentsRange(collection);
  for (const page of pagesOf(view, from, to)) {
    for (const { key } of page.slice(0, RANGE_ROWS_MAX - names.length)) {
      const name = utf8Text(documentOfRow(collection, key));
      invariant(name !== undefined, "a document's name is UTF-8");
      names.push(name);
    }
    if (names.length >= RANGE_ROWS_MAX) break;
    yield;
  }
  return names;
}

/** Those of the hashes that are known here, wherever they stand (D3). */
function* changes(view: StateView, question: Of<"changes">): Generator<void, DocumentChange[]> {
  const keys = keysOf(question);
  const found: DocumentChange[] = [];
  if (keys === null) return found;
  let bytes = 0;
  for (const [i, hash] of question.hashes.slice(0, RANGE_ROWS_MAX).entries()) {
    if (bytes >= ANSWER_BYTES_MAX) break;
    if (i % PAUSE_CHANGES === PAUSE_CHANGES - 1) yield;
    const name = changeHashBytes(hash);
    const row = view.get(keys.change(name));
    if (row === undefined) continue;
    const body = view.get(bodyKey(keys, changeRow.decode(row), name));
    invariant(body !== undefined, "a known change has its bytes");
    found.push(ownChange(body));
    bytes += body.length;
  }
  return found;
}

function lease(view: StateView, id: LeaseId): LeaseState | null {
  const bytes = view.get(leaseKey(id));
  if (bytes === undefined) return null;
  const { ttlMs, due, keys } = leaseRow.decode(bytes);
  const { from, to } = leaseKeysRange(id);
  const remainingMs = Math.max(0, due - readPosition(view).logTime);
  return { ttlMs, remainingMs, keys: view.scan(from, to, keys).map(({ key }) => keyOfLeaseRow(key)) };
}

function firstRequest(view: StateView, { principal, key }: Of<"idempotency">): FirstRequest | null {
  const bytes = view.get(idempotentKey(principal, key));
  const row = bytes === undefined ? null : idempotentRow.decode(bytes);
  return row === null || row.until <= readPosition(view).logTime ? null : { ...row, request: own(row.request) };
}

function link(view: StateView, id: LinkId): LinkState | null {
  const ledger = view.get(ledgerLinkKey(id));
  if (ledger !== undefined) return ledgerLinkState(id, ledger);
  const client = view.get(clientLinkKey(id));
  return client === undefined ? null : clientLinkState(id, client);
}

/** Ledger links, then clients'; at most RANGE_ROWS_MAX of each. */
function* links(view: StateView): Generator<void, LinkState[]> {
  // Read in the order of the rows' keys, which is another one.
  const clients = yield* linksOf(view, CLIENT_LINKS, clientLinkState);
  return [...(yield* linksOf(view, LEDGER_LINKS, ledgerLinkState)), ...clients];
}

function* linksOf(
  view: StateView,
  { from, to }: KeyRange,
  stateOf: (id: LinkId, bytes: Uint8Array) => LinkState,
): Generator<void, LinkState[]> {
  const found: LinkState[] = [];
  for (const page of pagesOf(view, from, to)) {
    for (const { key, value } of page.slice(0, RANGE_ROWS_MAX - found.length)) found.push(stateOf(linkId(key), value));
    if (found.length >= RANGE_ROWS_MAX) break;
    yield;
  }
  return found;
}

const LEFT_LIVES_MAX = 1_000;

function livesOf(view: StateView, id: LinkId): QueryAnswers["lives"] {
  const contenders = contendersRange(id);
  const left = leftLivesRange(id);
  return {
    contenders: view
      .scan(contenders.from, contenders.to, CONTENDERS_MAX)
      .map(({ value }) => contenderRow.decode(own(value))),
    left: view.scan(left.from, left.to, LEFT_LIVES_MAX).map(({ value }) => leftLifeRow.decode(own(value))),
  };
}

/** Of at most RANGE_ROWS_MAX contenders. */
function contended(view: StateView): ReadonlyMap<LinkId, number> {
  const links = new Map<LinkId, number>();
  for (const { key } of view.scan(CONTENDERS.from, CONTENDERS.to, RANGE_ROWS_MAX)) {
    const link = utf8Text(linkOfContender(key));
    invariant(isLinkId(link), "a contender's row carries its link");
    links.set(link, (links.get(link) ?? 0) + 1);
  }
  return links;
}

function linkId(row: Uint8Array): LinkId {
  const id = utf8Text(linkOfRow(row));
  invariant(isLinkId(id), "a link's row carries its id");
  return id;
}

function ledgerLinkState(id: LinkId, bytes: Uint8Array): LinkState {
  const { epoch, ancestors, cursor, hash } = ledgerLinkRow.decode(own(bytes));
  return { link: id, cursor, hash: own(hash), epoch, ancestors, outcomes: [] };
}

function clientLinkState(id: LinkId, bytes: Uint8Array): LinkState {
  const { cursor, outcomes } = clientLinkRow.decode(bytes);
  return {
    link: id,
    cursor: seq(cursor),
    hash: new Uint8Array(0),
    epoch: null,
    ancestors: [],
    outcomes: outcomes.ascending(),
  };
}

function stream(view: StateView, id: LinkId): StreamState {
  const bytes = view.get(streamKey(id));
  return bytes === undefined ? NO_STREAM : streamRow.decode(bytes);
}

export const rowsAllowed = (limit: number): number => Math.min(Math.max(0, limit), RANGE_ROWS_MAX);

const ownHome = (row: HomeRow): HomeRow => ({ ...row, prefix: own(row.prefix) });

/** A buffer of its own: an answer is posted between threads, and a view would take the whole row along. */
export const own = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

export function ownChange(body: Uint8Array): DocumentChange {
  const change = bodyRow.decode(body);
  return { ...change, bytes: own(change.bytes) };
}
