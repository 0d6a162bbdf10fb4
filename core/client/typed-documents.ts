/**
 * Documents of a collection whose content has a declared form. Everybody may change a document, and all merge: so what does
 * not fit can come, and is shown as such, with the document as it is.
 */
import type { ChangeHash } from "../ids.ts";
import type { DocumentHandle, EditOptions } from "./document-handle.ts";
import type { Edit } from "./edit.ts";
import { checked, type StandardSchema } from "./standard-schema.ts";
import { type TypedValue, typedValue } from "./typed.ts";

export interface TypedDocumentHandle<Input, Output> extends DocumentHandle<Input> {
  /** The document as the schema gives it, or why it does not fit: `doc` is then what there is. The same object until it changes. */
  value(): TypedValue<Output>;
}

interface UntypedDocuments {
  open<T extends object>(collection: string, id: string, options: { readonly initial?: T }): Promise<DocumentHandle<T>>;
}

export class TypedDocuments<Input extends object, Output> {
  readonly #documents: UntypedDocuments;
  readonly #collection: string;
  readonly #schema: StandardSchema<Input, Output>;

  constructor(documents: UntypedDocuments, collection: string, schema: StandardSchema<Input, Output>) {
    this.#documents = documents;
    this.#collection = collection;
    this.#schema = schema;
  }

  /** As `Documents.open`. @throws OpenClawError VALUE_INVALID: the initial content does not fit */
  async open(id: string, options: { readonly initial?: Input } = {}): Promise<TypedDocumentHandle<Input, Output>> {
    if (options.initial !== undefined) checked(this.#schema, options.initial);
    return typedHandle(await this.#documents.open<Input>(this.#collection, id, options), this.#schema);
  }
}

/** An edit that would make a document unfit is refused whole, VALUE_INVALID; one that is unfit already may be mended step by step. */
export function typedHandle<Input extends object, Output>(
  handle: DocumentHandle<Input>,
  schema: StandardSchema<Input, Output>,
): TypedDocumentHandle<Input, Output> {
  let known: { readonly doc: object; readonly value: TypedValue<Output> } | null = null;
  const value = (): TypedValue<Output> => {
    const doc = handle.doc();
    if (known?.doc !== doc) known = { doc, value: typedValue(schema, doc) };
    return known.value;
  };
  const fitting = (edit: (doc: Input) => void): ((doc: Input) => void) => {
    const mustFit = value().ok || handle.heads().length === 0;
    return (doc) => {
      edit(doc);
      // What is thrown within takes the edit back.
      if (mustFit) checked(schema, doc);
    };
  };
  return {
    ...handle,
    value,
    change: (edit: (doc: Input) => void, options?: EditOptions): Edit => handle.change(fitting(edit), options),
    changeAt: (heads: readonly ChangeHash[], edit: (doc: Input) => void, options?: EditOptions): Edit =>
      handle.changeAt(heads, fitting(edit), options),
  };
}
