/** The document that tests of the client edit. */
import * as Automerge from "@automerge/automerge";

export interface Log {
  text: string;
}

export const EMPTY: Log = { text: "" };

export const append =
  (text: string) =>
  (doc: Log): void =>
    Automerge.splice(doc as Automerge.Doc<Log>, ["text"], doc.text.length, 0, text);
