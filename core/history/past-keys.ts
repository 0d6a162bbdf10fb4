/** Keys as of a revision, and what was under a key: read from the history index, with pauses. */

import { equalBytes } from "../bytes.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import type { ClusterId, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import { RangeAnswer } from "../state-machine/key-range.ts";
import { keyOfRow, keyRange, keyRowKey } from "../state-machine/keyspace.ts";
import { type KeySelector, type KeyValue, type RangeResponse, rowBytes } from "../state-machine/operation.ts";
import { ANSWER_BYTES_MAX, own, rowsAllowed } from "../state-machine/query-run.ts";
import { keyAfter } from "../state-machine/row-pages.ts";
import type { StateView } from "../state-machine/view.ts";
import type { HistoryAnswers, HistoryQuery, KeyVersion, Version } from "./history-query.ts";
import { afterVersions, versionKey, versionOf, versionRow, versionsRange } from "./history-rows.ts";
import { newestVersion } from "./index-records.ts";

/** Keys that one range at a revision may look at, deleted ones too. */
const KEYS_READ_MAX = 1_000_000;
/** Keys and bytes looked at between two pauses. */
const PAUSE_KEYS = 64;
const PAUSE_BYTES = 262_144;
/** Versions read at once: each may have a value of 1 MiB. */
const PAGE_VERSIONS = 8;

type Of<Kind extends HistoryQuery["kind"]> = Extract<HistoryQuery, { kind: Kind }>;

export function keyAt(index: StateView, { origin, key, at }: Of<"get">): KeyValue | null {
  const found = newestVersion(index, keyRowKey(origin, key), at);
  const row = found === undefined ? null : rowOf(key, found.version);
  return row === null ? null : { ...row, value: own(row.value) };
}

/** @throws OpenClawError BAD_REQUEST where the range holds too many keys to look at */
export function* rangeAt(index: StateView, { origin, at, ...request }: Of<"range">): Generator<void, RangeResponse> {
  const answer = new RangeAnswer(request, ANSWER_BYTES_MAX);
  let looked = 0;
  let bytes = 0;
  for (const row of rowsAt(index, origin, request.keys, at)) {
    if (row !== null) {
      answer.take(row);
      bytes += rowBytes(row);
    }
    if (answer.complete) break;
    if (++looked > KEYS_READ_MAX) throw new OpenClawError("BAD_REQUEST", `a range of more than ${KEYS_READ_MAX} keys`);
    if (looked % PAUSE_KEYS === 0 || bytes >= PAUSE_BYTES) {
      bytes = 0;
      yield;
    }
  }
  const { rows, ...rest } = answer.response();
  return { ...rest, rows: rows.map((row) => ({ ...row, value: own(row.value) })) };
}

/** One item for each selected key that ever was; null where there was none at that revision. */
function* rowsAt(
  index: StateView,
  origin: ClusterId | null,
  keys: KeySelector,
  at: Revision,
): Generator<KeyValue | null> {
  switch (keys.kind) {
    case "key":
      yield keyAt(index, { kind: "get", origin, key: keys.key, at });
      return;
    case "range": {
      const range = versionsRange(keyRange(origin, keys.from, keys.to));
      let next = range.from;
      for (;;) {
        // The newest version of the next key: most keys have not changed since.
        const [newest] = index.scan(next, range.to, 1);
        if (newest === undefined) return;
        const { row, at: last } = versionOf(newest.key);
        const version = last <= at ? versionRow.decode(newest.value) : newestVersion(index, row, at)?.version;
        yield version === undefined ? null : rowOf(keyOfRow(origin, row), version);
        next = afterVersions(row);
      }
    }
    default:
      unreachable(keys);
  }
}

/** @param compacted of what is earlier only the version that stands there is told, whatever is still there */
export function* versionsOf(
  index: StateView,
  { origin, key, before, limit }: Of<"versions">,
  compacted: Revision,
): Generator<void, HistoryAnswers["versions"]> {
  const row = keyRowKey(origin, key);
  const versions: KeyVersion[] = [];
  const end = afterVersions(row);
  const most = rowsAllowed(limit);
  const oldest = compacted === 0 ? undefined : newestVersion(index, row, compacted);
  let next = versionKey(row, before === null ? revision(Number.MAX_SAFE_INTEGER) : revision(before - 1));
  for (let bytes = 0; ; ) {
    const page = index.scan(next, end, PAGE_VERSIONS);
    for (const stored of page) {
      const { at } = versionOf(stored.key);
      const version = versionRow.decode(stored.value);
      const value = version.value === null ? null : own(version.value);
      const told = at >= compacted || (value !== null && oldest !== undefined && equalBytes(stored.key, oldest.key));
      if (!told) return { versions, more: false };
      if (versions.length >= most || bytes >= ANSWER_BYTES_MAX) return { versions, more: true };
      versions.push({ ...version, value, revision: at });
      bytes += stored.value.length;
      if (at <= compacted) return { versions, more: false };
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_VERSIONS) return { versions, more: false };
    next = keyAfter(last.key);
    yield;
  }
}

function rowOf(key: Uint8Array, { value, createRevision, modRevision, version, lease }: Version): KeyValue | null {
  return value === null ? null : { key, value, createRevision, modRevision, version, lease };
}
