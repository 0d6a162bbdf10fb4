/** The shift log as a document: its text, edits at any earlier heads, and what each of my changes did. */
import * as Automerge from "@automerge/automerge/slim";
import type { DocumentHandle, EditState } from "@openclaw/browser";
import type { ShownChange } from "./edit-groups.ts";
import type { SharedText } from "./shift-log.ts";
import type { Hunk } from "./text-diff.ts";

export interface LogContent {
  text: string;
}

/** Position, number of characters deleted there, text inserted there. */
export type Patch = readonly [position: number, deleted: number, inserted: string];

/** Changes whose content is remembered for the list of edits. */
const KNOWN_MAX = 2_000;

type Heads = ReturnType<DocumentHandle<LogContent>["heads"]>;

export class LogDocument implements SharedText {
  readonly #handle: DocumentHandle<LogContent>;
  readonly #known = new Map<string, Pick<ShownChange, "inserted" | "removed" | "time">>();

  constructor(handle: DocumentHandle<LogContent>) {
    this.#handle = handle;
  }

  text(): string {
    const { text } = this.#handle.doc() as Partial<LogContent>;
    return text ?? "";
  }

  heads(): Heads {
    return this.#handle.heads();
  }

  cursorAt(position: number): string {
    const text = this.text();
    return Automerge.getCursor(this.#handle.doc(), ["text"], position < text.length ? position : "end");
  }

  positionOf(cursor: string): number | null {
    try {
      return Automerge.getCursorPosition(this.#handle.doc(), ["text"], cursor);
    } catch {
      return null; // of a change that is not here yet, or none at all
    }
  }

  async edit({ at, removed, inserted }: Hunk, heads: readonly string[]): Promise<void> {
    await this.patch([[at, removed, inserted]], heads).device;
  }

  /** One change, at `heads`; none are those of the empty text. @throws OpenClawError MISSING, OVERLOADED, STOPPED */
  patch(patches: readonly Patch[], heads: readonly string[]): ReturnType<DocumentHandle<LogContent>["change"]> {
    const splice = (doc: LogContent): void => {
      for (const [position, deleted, inserted] of patches) Automerge.splice(doc, ["text"], position, deleted, inserted);
    };
    const at = heads.length === 0 ? this.changeHashes().slice(0, 1) : heads;
    const now = this.heads();
    // Equal for the document, and much faster.
    if (at.length === now.length && now.every((head) => at.includes(head))) return this.#handle.change(splice);
    return this.#handle.changeAt(at as Heads, splice);
  }

  /** Every change of the document, each after what it depends on. */
  changeHashes(): string[] {
    return Automerge.topoHistoryTraversal(this.#handle.doc());
  }

  edits(): readonly EditState[] {
    return this.#handle.edits();
  }

  /** My changes, newest first. */
  *shown(): Generator<ShownChange> {
    for (const edit of this.edits().toReversed()) yield this.#shown(edit);
  }

  /** Those that are not at the hub yet, oldest first. */
  notAtHub(): readonly ShownChange[] {
    return this.edits().flatMap((edit) => (edit.rung === "hub" ? [] : [this.#shown(edit)]));
  }

  #shown({ hash, rung, failure }: EditState): ShownChange {
    return { ...this.#content(hash), badge: failure === null ? (rung ?? "saving") : "refused" };
  }

  #content(hash: string): Pick<ShownChange, "inserted" | "removed" | "time"> {
    const known = this.#known.get(hash);
    if (known !== undefined) return known;
    const change = Automerge.inspectChange(this.#handle.doc(), hash);
    const ops = change?.ops ?? [];
    const content = {
      inserted: ops
        .map((op) => ("insert" in op && op.insert === true && typeof op.value === "string" ? op.value : ""))
        .join(""),
      removed: ops.filter((op) => op.action === "del").length,
      time: change?.time ?? 0,
    };
    this.#known.set(hash, content);
    const [oldest] = this.#known.keys();
    if (this.#known.size > KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
    return content;
  }
}
