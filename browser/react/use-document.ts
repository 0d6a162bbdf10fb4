import { checked, type StandardSchema } from "@openclaw/core/client/standard-schema.ts";
import { typedHandle } from "@openclaw/core/client/typed-documents.ts";
import { useMemo } from "react";
import { DocumentSource, type DocumentView, OPENING_DOCUMENT, type TypedDocumentView } from "./document-source.ts";
import { useOpenClient } from "./provider.ts";
import { useShared } from "./shared-sources.ts";

export interface DocumentOptions<T> {
  /** Its content if it has none here yet: give everyone the same. Looked at when the document is opened. */
  readonly initial?: T;
}

export interface TypedDocumentOptions<Input, Output> extends DocumentOptions<Input> {
  /** What it is to be: any Standard Schema. Give the same one each time: what it made of the document is kept. */
  readonly schema: StandardSchema<Input, Output>;
}

/**
 * A document, open as long as a component looks at it. It is rendered again when the document changed, not when a rung
 * did: that is `useDurability`. With a schema, as by `Documents.typed`: `value` says whether it fits, and an edit that would
 * make it unfit throws VALUE_INVALID.
 */
export function useDocument<Input extends object, Output>(
  collection: string,
  id: string,
  options: TypedDocumentOptions<Input, Output>,
): TypedDocumentView<Input, Output>;
export function useDocument<T extends object>(
  collection: string,
  id: string,
  options?: DocumentOptions<T>,
): DocumentView<T>;
export function useDocument<Input extends object, Output>(
  collection: string,
  id: string,
  options: DocumentOptions<Input> | TypedDocumentOptions<Input, Output> = {},
): DocumentView<Input> | TypedDocumentView<Input, Output> {
  const open = useOpenClient();
  const { initial } = options;
  const schema = "schema" in options ? options.schema : null;
  const view = useShared<DocumentView<object>>(
    open?.documents ?? null,
    // Who has an initial content sees to it that it is there, and with a schema, that it fits.
    JSON.stringify([collection, id, initial !== undefined, schema !== null]),
    () => {
      if (open === null) throw new Error("nobody subscribes without a client");
      const check = (): void => void (schema !== null && initial !== undefined && checked(schema, initial));
      return new DocumentSource<object>(open.client, collection, id, initial, check);
    },
    OPENING_DOCUMENT,
  );
  // The app says what its documents hold, as in `Documents.open`.
  const untyped = view as DocumentView<Input>;
  const { handle } = untyped;
  const typed = useMemo(
    () => (handle === null || schema === null ? null : typedHandle(handle, schema)),
    [handle, schema],
  );
  return useMemo(() => {
    if (untyped.kind === "opening" || untyped.kind === "failed" || typed === null) return untyped;
    return untyped.kind === "absent"
      ? { kind: "absent", handle: typed }
      : { kind: "ready", doc: untyped.doc, value: typed.value(), handle: typed };
  }, [untyped, typed]);
}
