import { DocumentSource, type DocumentView, OPENING_DOCUMENT } from "./document-source.ts";
import { useOpenClient } from "./provider.ts";
import { useShared } from "./shared-sources.ts";

/**
 * A document, open as long as a component looks at it. It is rendered again when the document changed, not when a rung
 * did: that is `useDurability`.
 * @param options.initial its content if it has none here yet: give everyone the same. Looked at when the document is opened
 */
export function useDocument<T extends object>(
  collection: string,
  id: string,
  options: { readonly initial?: T } = {},
): DocumentView<T> {
  const open = useOpenClient();
  const { initial } = options;
  const view = useShared<DocumentView<object>>(
    open?.documents ?? null,
    // Who has an initial content sees to it that it is there.
    JSON.stringify([collection, id, initial !== undefined]),
    () => {
      if (open === null) throw new Error("nobody subscribes without a client");
      return new DocumentSource<object>(open.client, collection, id, initial);
    },
    OPENING_DOCUMENT,
  );
  // The app says what its documents hold, as in `Documents.open`.
  return view as DocumentView<T>;
}
