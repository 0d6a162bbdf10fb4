/** A document as components see it. */
import type { Client } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import type { TypedValue } from "@openclaw/core/client/typed.ts";
import type { TypedDocumentHandle } from "@openclaw/core/client/typed-documents.ts";
import { asOpenClawError, type OpenClawError } from "@openclaw/core/errors.ts";
import type { Source } from "./shared-sources.ts";

/** `handle` is for `change`, `edits` and the rest, and for `useDurability`. */
export type DocumentView<T> =
  | { readonly kind: "opening"; readonly handle: null }
  /** It has no content here: neither its changes nor an initial content. */
  | { readonly kind: "absent"; readonly handle: DocumentHandle<T> }
  | { readonly kind: "ready"; readonly doc: ReturnType<DocumentHandle<T>["doc"]>; readonly handle: DocumentHandle<T> }
  /** As `Documents.open` rejects, and VALUE_INVALID for an initial content that does not fit the schema. */
  | { readonly kind: "failed"; readonly error: OpenClawError; readonly handle: null };

/** The same of a document with a declared form. */
export type TypedDocumentView<Input, Output> =
  | Extract<DocumentView<Input>, { kind: "opening" | "failed" }>
  | { readonly kind: "absent"; readonly handle: TypedDocumentHandle<Input, Output> }
  | {
      readonly kind: "ready";
      /** As it is, whether it fits or not. */
      readonly doc: ReturnType<DocumentHandle<Input>["doc"]>;
      /** As the schema gives it, or why it does not fit: others may make of it what they like. */
      readonly value: TypedValue<Output>;
      readonly handle: TypedDocumentHandle<Input, Output>;
    };

export const OPENING_DOCUMENT = { kind: "opening", handle: null } as const;

export class DocumentSource<T extends object> implements Source<DocumentView<T>> {
  readonly #listeners = new Set<() => void>();
  #view: DocumentView<T> = OPENING_DOCUMENT;
  #isClosed = false;

  /** @param check throws what stands against opening it with that content */
  constructor(client: Client, collection: string, id: string, initial: T | undefined, check: () => void) {
    const open = async (): Promise<DocumentHandle<T>> => {
      check();
      return client.docs.open<T>(collection, id, initial === undefined ? {} : { initial });
    };
    open().then(
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
