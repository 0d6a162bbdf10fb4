/** Documents as people read and edit them over HTTP: the state's accepted changes, put together by Automerge in its worker. */
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { ChangeHash } from "@openclaw/core/ids.ts";
import type { Answer, Query } from "@openclaw/core/state-machine/query.ts";
import { DocumentWorker } from "./document-worker.ts";
import type { Finish, Finished } from "./job.ts";

/** Changes asked of the state at once. */
const PAGE_CHANGES = 512;
/**
 * A document is loaded anew this often before we give up: after each change that Automerge will not apply, and when the
 * state is replaced under us.
 */
const ATTEMPTS_MAX = 10;

/** Where changes come from: a replica, at its applied index. */
export interface DocumentSource {
  read<Q extends Query>(query: Q): Promise<Answer<Q>>;
}

export interface Materialised extends Finished {
  /** Accepted changes; 0 means that there is no such document. */
  readonly position: number;
  readonly pending: number;
  readonly quarantined: number;
}

export class Materialiser {
  readonly #source: DocumentSource;
  readonly #worker = new DocumentWorker();
  /** The last job of each document under way: two loads of one document would trip over each other's positions. */
  readonly #tails = new Map<string, Promise<unknown>>();

  constructor(source: DocumentSource) {
    this.#source = source;
  }

  /**
   * Brings the worker's document up to the state and finishes it there.
   * @throws OpenClawError OVERLOADED, STOPPED, DOCUMENT_TOO_LARGE; of a fork also BAD_REQUEST, CHANGE_TOO_LARGE
   */
  async materialise(collection: string, document: string, finish: Finish): Promise<Materialised> {
    // Neither part can hold a NUL that would make two names one: JSON escapes it.
    const name = JSON.stringify([collection, document]);
    const before = this.#tails.get(name) ?? Promise.resolve();
    const own = before.then(() => this.#load(name, collection, document, finish));
    const tail = own.catch(() => {});
    this.#tails.set(name, tail);
    try {
      return await own;
    } finally {
      if (this.#tails.get(name) === tail) this.#tails.delete(name);
    }
  }

  stop(): Promise<void> {
    return this.#worker.stop();
  }

  async #load(name: string, collection: string, document: string, finish: Finish): Promise<Materialised> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const loaded = await this.#loadOnce(name, collection, document, finish);
      if (loaded !== null) return loaded;
      await this.#worker.run({ kind: "forget", name });
    }
    throw new OpenClawError("UNAVAILABLE", "the document could not be loaded whole");
  }

  async #loadOnce(name: string, collection: string, document: string, finish: Finish): Promise<Materialised | null> {
    let after = await this.#worker.run({ kind: "position", name });
    for (;;) {
      const page = await this.#source.read({ kind: "document", collection, document, after, limit: PAGE_CHANGES });
      if (page.position < after) return null; // the state is another one: replaced by a snapshot
      const last = page.more ? null : finish;
      const answer = await this.#worker.run({ kind: "extend", name, after, changes: page.changes, finish: last });
      if (answer.kind === "mismatch") return null;
      after = page.position;
      if (page.more) continue;
      invariant(answer.finished !== null, "a finished document was asked for");
      const { finished } = answer;
      if (finished.refused.length === 0 && !sameHeads(finished.heads, page.heads)) return null;
      return {
        ...finished,
        heads: page.heads,
        position: after,
        pending: page.pending,
        quarantined: page.quarantined.length,
      };
    }
  }
}

const sameHeads = (sorted: readonly ChangeHash[], heads: readonly ChangeHash[]): boolean =>
  sorted.length === heads.length && heads.toSorted().every((head, i) => head === sorted[i]);
