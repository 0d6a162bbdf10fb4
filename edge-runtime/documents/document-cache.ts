/** Automerge documents loaded in the worker, each as far as its accepted changes were read; the least used leaves first. */
import * as Automerge from "@automerge/automerge";
import { OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import type { ChangeHash } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { fork } from "./fork.ts";
import type { Finish, Finished, JobAnswers } from "./job.ts";
import { jsonText } from "./json.ts";

/** Documents held at once. */
const CACHED_DOCUMENTS_MAX = 64;
/** Bytes of changes behind the documents held; Automerge needs several times that. */
const CACHED_BYTES_MAX = 32 * 1_048_576;
/** Bytes of changes of one document: beyond it, loading would starve the node. */
const DOCUMENT_BYTES_MAX = 64 * 1_048_576;

/** Documents whose poison is remembered; beyond it all is forgotten and found again. */
const POISONED_DOCUMENTS_MAX = 1_024;

type Doc = Automerge.Doc<Record<string, unknown>>;

interface Cached {
  doc: Doc;
  position: number;
  bytes: number;
  readonly refused: ChangeHash[];
}

export class DocumentCache {
  /** In order of use, the least recent first: a Map keeps the order of insertion. */
  readonly #documents = new Map<string, Cached>();
  /** Of documents that Automerge once failed to load whole: the changes that it would not apply. */
  readonly #poison = new Map<string, Set<ChangeHash>>();

  position(name: string): number {
    return this.#documents.get(name)?.position ?? 0;
  }

  /** @throws OpenClawError DOCUMENT_TOO_LARGE, BAD_REQUEST, CHANGE_TOO_LARGE */
  extend(name: string, after: number, changes: readonly DocumentChange[], finish: Finish | null): JobAnswers["extend"] {
    if (this.position(name) !== after) return { kind: "mismatch" };
    const cached = this.#documents.get(name) ?? { doc: Automerge.init(), position: 0, bytes: 0, refused: [] };
    this.#documents.delete(name);
    this.#documents.set(name, cached);
    for (const change of changes) cached.bytes += change.bytes.length;
    if (cached.bytes > DOCUMENT_BYTES_MAX) {
      this.forget(name);
      throw new OpenClawError("DOCUMENT_TOO_LARGE", name);
    }
    if (!this.#apply(name, cached, changes)) return { kind: "mismatch" };
    cached.position += changes.length;
    this.#evict(name);
    return { kind: "extended", finished: finish === null ? null : finished(cached, finish) };
  }

  forget(name: string): void {
    const cached = this.#documents.get(name);
    if (cached === undefined) return;
    this.#documents.delete(name);
    Automerge.free(cached.doc);
  }

  /**
   * False when Automerge failed: a change may decode and yet refer to what does not exist, and then Automerge stops in
   * the middle and leaves a broken document (measured with 3.5.0). So the document is loaded anew, one change at a time,
   * without those that failed. All at once is six times as fast, so that is tried first.
   */
  #apply(name: string, cached: Cached, changes: readonly DocumentChange[]): boolean {
    const poison = this.#poison.get(name);
    const batches = poison === undefined ? [changes] : changes.map((change) => [change]);
    for (const batch of batches) {
      const only = batch[0]?.hash;
      if (only === undefined) continue;
      if (poison?.has(only) === true) {
        cached.refused.push(only);
        continue;
      }
      try {
        [cached.doc] = Automerge.applyChanges(
          cached.doc,
          batch.map(({ bytes }) => bytes),
        );
      } catch {
        this.forget(name);
        if (this.#poison.size >= POISONED_DOCUMENTS_MAX) this.#poison.clear();
        this.#poison.set(name, poison === undefined ? new Set() : poison.add(only));
        return false;
      }
    }
    return true;
  }

  #evict(keep: string): void {
    let bytes = 0;
    for (const { bytes: own } of this.#documents.values()) bytes += own;
    for (const [name, cached] of this.#documents) {
      if (name === keep || (this.#documents.size <= CACHED_DOCUMENTS_MAX && bytes <= CACHED_BYTES_MAX)) continue;
      bytes -= cached.bytes;
      this.forget(name);
    }
  }
}

function finished(cached: Cached, finish: Finish): Finished {
  const heads = Automerge.getHeads(cached.doc).toSorted() as ChangeHash[];
  return { heads, refused: cached.refused, output: output(cached.doc, finish) };
}

function output(doc: Doc, finish: Finish): Finished["output"] {
  switch (finish.kind) {
    case "json":
      return { kind: "json", text: jsonText(doc) };
    case "bytes":
      return { kind: "bytes", bytes: Automerge.save(doc) };
    case "fork":
      return { kind: "fork", change: fork(doc, finish.actor, finish.time, finish.operations) };
    default:
      return unreachable(finish);
  }
}
