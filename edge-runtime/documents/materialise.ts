/** Documents as people read and edit them over HTTP: the state's accepted changes, put together by Automerge in its worker. */
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { HistoryAnswer, HistoryQuery } from "@openclaw/core/history/history-query.ts";
import type { ChangeHash, Revision } from "@openclaw/core/ids.ts";
import type { Answer, Query, QueryAnswers } from "@openclaw/core/state-machine/query.ts";
import { DocumentWorker } from "./document-worker.ts";
import type { Finish, Finished } from "./job.ts";

/** Changes asked of the state at once. */
const PAGE_CHANGES = 512;
/**
 * A document is loaded anew this often before we give up: after each change that Automerge will not apply, and when the
 * state is replaced under us.
 */
const ATTEMPTS_MAX = 10;

/** Where changes come from: a replica, at its applied index or at an earlier revision. */
export interface DocumentSource {
  read<Q extends Query>(query: Q): Promise<Answer<Q>>;
  history<Q extends HistoryQuery>(query: Q): Promise<HistoryAnswer<Q>>;
}

type Page = QueryAnswers["document"];
/** The accepted changes after a position. */
type Pages = (after: number) => Promise<Page>;

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
  materialise(collection: string, document: string, finish: Finish): Promise<Materialised> {
    const pages = (after: number): Promise<Page> =>
      this.#source.read({ kind: "document", collection, document, after, limit: PAGE_CHANGES });
    // Neither part can hold a NUL that would make two names one: JSON escapes it.
    const name = JSON.stringify([collection, document]);
    return this.#inTurn(name, () => this.#load(name, pages, finish));
  }

  /**
   * The document as it was after a revision, put together anew.
   * @throws OpenClawError as `materialise`, and REVISION_AHEAD, COMPACTED
   */
  materialiseAt(collection: string, document: string, at: Revision, finish: Finish): Promise<Materialised> {
    const pages = (after: number): Promise<Page> =>
      this.#source.history({ kind: "document", collection, document, at, after, limit: PAGE_CHANGES });
    const name = JSON.stringify([collection, document, at]);
    return this.#inTurn(name, async () => {
      try {
        return await this.#load(name, pages, finish);
      } finally {
        // What was is asked for seldom; the place is for what is.
        await this.#worker.run({ kind: "forget", name });
      }
    });
  }

  async #inTurn(name: string, load: () => Promise<Materialised>): Promise<Materialised> {
    const before = this.#tails.get(name) ?? Promise.resolve();
    const own = before.then(load);
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

  async #load(name: string, pages: Pages, finish: Finish): Promise<Materialised> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const loaded = await this.#loadOnce(name, pages, finish);
      if (loaded !== null) return loaded;
      await this.#worker.run({ kind: "forget", name });
    }
    throw new OpenClawError("UNAVAILABLE", "the document could not be loaded whole");
  }

  async #loadOnce(name: string, pages: Pages, finish: Finish): Promise<Materialised | null> {
    let after = await this.#worker.run({ kind: "position", name });
    for (;;) {
      const page = await pages(after);
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
