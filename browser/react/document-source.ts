/** A document as components see it. */
import type { Client } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { asOpenClawError, type OpenClawError } from "@openclaw/core/errors.ts";
import type { Source } from "./shared-sources.ts";

/** `handle` is for `change`, `edits` and the rest, and for `useDurability`. */
export type DocumentView<T> =
  | { readonly kind: "opening"; readonly handle: null }
  /** It has no content here: neither its changes nor an initial content. */
  | { readonly kind: "absent"; readonly handle: DocumentHandle<T> }
  | { readonly kind: "ready"; readonly doc: ReturnType<DocumentHandle<T>["doc"]>; readonly handle: DocumentHandle<T> }
  /** As `Documents.open` rejects. */
  | { readonly kind: "failed"; readonly error: OpenClawError; readonly handle: null };

export const OPENING_DOCUMENT = { kind: "opening", handle: null } as const;

export class DocumentSource<T extends object> implements Source<DocumentView<T>> {
  readonly #listeners = new Set<() => void>();
  #view: DocumentView<T> = OPENING_DOCUMENT;
  #isClosed = false;

  constructor(client: Client, collection: string, id: string, initial: T | undefined) {
    client.docs.open<T>(collection, id, initial === undefined ? {} : { initial }).then(
      (handle) => this.#opened(handle),
      (error: unknown) => this.#become({ kind: "failed", error: asOpenClawError(error), handle: null }),
    );
  }

  state(): DocumentView<T> {
    return this.#view;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#isClosed = true;
    this.#view.handle?.close();
  }

  #opened(handle: DocumentHandle<T>): void {
    if (this.#isClosed) return handle.close();
    handle.subscribe(() => this.#look(handle));
    this.#look(handle);
  }

  #look(handle: DocumentHandle<T>): void {
    if (handle.heads().length === 0) {
      if (this.#view.kind !== "absent") this.#become({ kind: "absent", handle });
      return;
    }
    const doc = handle.doc();
    // A rung may have moved, which is not the document's.
    if (this.#view.kind !== "ready" || this.#view.doc !== doc) this.#become({ kind: "ready", doc, handle });
  }

  #become(view: DocumentView<T>): void {
    this.#view = view;
    for (const listener of [...this.#listeners]) listener();
  }
}
