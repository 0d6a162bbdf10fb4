/**
 * Puts changes into a document, and leaves out those that Automerge will not take (a twin, D2; or one that passed the check,
 * D1, and names what never was), with all that follow them.
 */
import * as Automerge from "@automerge/automerge/slim";
import { OpenClawError } from "../errors.ts";
import type { ChangeHash } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { QuarantinedChange } from "./document-handle.ts";
import type { Slices } from "./slices.ts";
import type { QuarantinedRow } from "./store.ts";

/** Throws what Automerge throws; `doc` may then be broken. */
export function applied<T>(doc: Automerge.Doc<T>, changes: readonly DocumentChange[]): Automerge.Doc<T> {
  const [next] = Automerge.applyChanges(
    doc,
    changes.map(({ bytes }) => bytes),
  );
  return next;
}

/** What is left out of a document, and why. */
export class Quarantine {
  readonly #left = new Map<ChangeHash, QuarantinedChange>();
  readonly #found = new Map<ChangeHash, string>();

  constructor(rows: readonly QuarantinedRow[]) {
    this.keepOut(rows);
  }

  /** Oldest first. */
  get changes(): readonly QuarantinedChange[] {
    return [...this.#left.values()];
  }

  /** Those that Automerge refused since this began, but not who follows them: with its words. */
  get found(): ReadonlyMap<ChangeHash, string> {
    return this.#found;
  }

  /** What came under that hash was not that change. */
  lacksBytes(hash: ChangeHash): boolean {
    const { reason } = this.#left.get(hash) ?? {};
    return reason !== undefined && reason.code !== "QUARANTINED";
  }

  /** Whether one that is not stored may be put in: nothing is noted of it. */
  admits({ hash, deps }: DocumentChange): boolean {
    return ![hash, ...deps].some((one) => this.#left.has(one));
  }

  keepOut(rows: readonly Pick<QuarantinedRow, "hash" | "code" | "details">[]): void {
    for (const { hash, code, details } of rows)
      this.#left.set(hash, { hash, reason: new OpenClawError(code, `${hash}: ${details}`) });
  }

  refused(hash: ChangeHash, error: unknown): void {
    const details = error instanceof Error ? error.message : String(error);
    this.#found.set(hash, details);
    this.keepOut([{ hash, code: "QUARANTINED", details }]);
  }

  /** Those that may be put in; of the others, who follows one that is left out is left out, too. */
  admitted(changes: readonly DocumentChange[]): readonly DocumentChange[] {
    return changes.filter(({ hash, deps }) => {
      if (this.#left.has(hash)) return false;
      const bad = deps.find((dep) => this.#left.has(dep));
      if (bad !== undefined) this.keepOut([{ hash, code: "QUARANTINED", details: `follows ${bad}` }]);
      return bad === undefined;
    });
  }
}

/** @param changes each after what it depends on. @param quarantine is added to */
export async function soundDocument<T>(
  empty: () => Automerge.Doc<T>,
  changes: readonly DocumentChange[],
  quarantine: Quarantine,
  slices: Slices,
): Promise<Automerge.Doc<T>> {
  const good: DocumentChange[] = [];
  const goodOnes = async (): Promise<Automerge.Doc<T>> => {
    let again = empty();
    for await (const slice of slices.of(good)) again = applied(again, slice);
    return again;
  };
  let doc = empty();
  for await (const slice of slices.of(changes)) {
    const admitted = quarantine.admitted(slice);
    try {
      doc = applied(doc, admitted);
      good.push(...admitted);
      continue;
    } catch {
      // What fails leaves the document broken: the others begin anew.
      doc = await goodOnes();
    }
    for (const change of admitted) {
      if (quarantine.admitted([change]).length === 0) continue;
      await slices.turn();
      try {
        doc = applied(doc, [change]);
        good.push(change);
      } catch (error) {
        quarantine.refused(change.hash, error);
        doc = await goodOnes();
      }
    }
  }
  return doc;
}
