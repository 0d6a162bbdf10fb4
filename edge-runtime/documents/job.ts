/** What the document worker is asked and answers: one union, one answer a kind. */
import type { ErrorCode } from "@openclaw/core/errors.ts";
import type { ChangeHash } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type Path = readonly (string | number)[];

/** One step of an edit. Indices of a text count UTF-16 code units, as Automerge's do. */
export type DocumentOperation =
  | { readonly op: "put"; readonly path: Path; readonly value: Json }
  | { readonly op: "delete"; readonly path: Path }
  | {
      readonly op: "splice";
      readonly path: Path;
      readonly index: number;
      readonly delete: number;
      /** A text for a text, a list for a list. */
      readonly insert: string | readonly Json[];
    };

/** What to do with a document once it is complete. */
export type Finish =
  | { readonly kind: "json" }
  | { readonly kind: "bytes" }
  | {
      readonly kind: "fork";
      readonly actor: string;
      readonly time: number;
      readonly operations: readonly DocumentOperation[];
    };

export type Job =
  /** Are these bytes what they claim to be? (D1) */
  | { readonly kind: "check"; readonly changes: readonly DocumentChange[] }
  /** How many of the document's accepted changes the worker holds. */
  | { readonly kind: "position"; readonly name: string }
  /** The accepted changes after position `after`; `finish` with the last page. */
  | {
      readonly kind: "extend";
      readonly name: string;
      readonly after: number;
      readonly changes: readonly DocumentChange[];
      readonly finish: Finish | null;
    }
  | { readonly kind: "forget"; readonly name: string };

export interface Finished {
  readonly heads: readonly ChangeHash[];
  /** Accepted changes that Automerge would not apply: they decode, but refer to what does not exist. */
  readonly refused: readonly ChangeHash[];
  readonly output:
    | { readonly kind: "json"; readonly text: string }
    | { readonly kind: "bytes"; readonly bytes: Uint8Array }
    /** Null: the operations change nothing. */
    | { readonly kind: "fork"; readonly change: DocumentChange | null };
}

export interface JobAnswers {
  /** `at`: which of them is the first that is not. */
  check: { readonly at: number; readonly code: ErrorCode; readonly details: string } | null;
  position: number;
  /** `mismatch`: the worker holds another number of changes (it was restarted, or the document was evicted). */
  extend: { readonly kind: "extended"; readonly finished: Finished | null } | { readonly kind: "mismatch" };
  forget: null;
}

export type JobAnswer<J extends Job> = JobAnswers[J["kind"]];

export type JobReply =
  | { readonly ok: true; readonly answer: JobAnswers[keyof JobAnswers] }
  | { readonly ok: false; readonly code: ErrorCode; readonly details: string };
