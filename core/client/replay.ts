/**
 * A change of a text, made once more on what its author had, in the place of being applied: to apply one Automerge walks all
 * operations of the text, to make one it walks none. A change's hash is of all that it says (automerge.org/automerge-binary-format-spec,
 * "Change Hash"), so that the same hash is the same change, and whatever has another is not taken for it.
 */
import * as Automerge from "@automerge/automerge/slim";
import type { DocumentChange } from "../ledger/record.ts";
import { headsOf } from "./changes.ts";

/** Operations of one change, and its bytes: what has more costs about as much to make as to apply. */
const OPS_MAX = 256;
const BYTES_MAX = 4_096;

/** In the order of the change's operations. An element is named by the operation that inserted it. */
type Step =
  /** `after` null: at the beginning. */
  | { readonly kind: "insert"; readonly after: string | null; text: string; last: string }
  | { readonly kind: "delete"; readonly element: string };

/** What its author did, if that was to insert into one text, or to delete of it. */
export interface Recipe {
  /** Where the text is. */
  readonly path: Automerge.Prop[];
  readonly time: number;
  readonly message: string | null;
  readonly steps: readonly Step[];
}

/**
 * Null for a change of another kind, or of many operations, or of a text that is not found.
 * @param doc at the change's dependencies
 */
export function recipeOf(doc: Automerge.Doc<unknown>, { bytes }: DocumentChange): Recipe | null {
  const change = bytes.length > BYTES_MAX ? null : decoded(bytes);
  if (change === null) return null;
  const { ops, startOp, actor, time, message, author } = change;
  const object = ops[0]?.obj;
  if (object === undefined || ops.length > OPS_MAX || typeof author === "string") return null;
  const steps: Step[] = [];
  for (const [i, op] of ops.entries()) {
    const step = op.obj === object ? stepOf(op, `${startOp + i}@${actor}`) : null;
    if (step === null) return null;
    const before = steps.at(-1);
    if (step.kind === "insert" && before?.kind === "insert" && step.after === before.last) {
      before.text += step.text;
      before.last = step.last;
    } else steps.push(step);
  }
  const path = pathTo(doc, object);
  return path === null ? null : { path, time, message, steps };
}

/** Null for one with a number that JavaScript has not, which Automerge takes and does not tell of. */
function decoded(bytes: Uint8Array): Automerge.DecodedChange | null {
  try {
    return Automerge.decodeChange(bytes);
  } catch {
    return null;
  }
}

/** @param id the operation's own */
function stepOf(op: object, id: string): Step | null {
  if (!("action" in op && "elemId" in op && typeof op.elemId === "string")) return null;
  if (op.action === "del") return { kind: "delete", element: op.elemId };
  const isInserted = op.action === "set" && "insert" in op && op.insert === true;
  if (!isInserted || !("value" in op) || typeof op.value !== "string" || "datatype" in op) return null;
  return { kind: "insert", after: op.elemId === "_head" ? null : op.elemId, text: op.value, last: id };
}

/**
 * What the document has is what the change follows: an author names the heads, and what they made last. And nothing waits in
 * it for a change that did not come: only applying one lets go of that.
 */
export function isAt(doc: Automerge.Doc<unknown>, { deps }: DocumentChange): boolean {
  const heads = headsOf(doc);
  const isSame = deps.length <= heads.length + 1 && heads.every((head) => deps.includes(head));
  return isSame && Automerge.hasHeads(doc, [...deps]) && Automerge.getMissingDeps(doc, []).length === 0;
}

/**
 * The document with what the recipe makes there; null where it cannot be made: `doc` is as before then. The caller compares
 * the hash.
 * @param doc at the change's dependencies, under the name of its author
 */
export function replayed<T extends object>(
  doc: Automerge.Doc<T>,
  { path, time, message, steps }: Recipe,
): Automerge.Doc<T> | null {
  try {
    return Automerge.change(doc, { time, ...(message === null ? {} : { message }) }, (draft) => {
      for (const step of steps) play(draft as Automerge.Doc<unknown>, path, step);
    });
  } catch {
    // Automerge has rolled back. Whatever it was, applying the change is what decides.
    return null;
  }
}

function play(draft: Automerge.Doc<unknown>, path: Automerge.Prop[], step: Step): void {
  if (step.kind === "delete") return Automerge.splice(draft, path, positionOf(draft, path, step.element), 1);
  const at = step.after === null ? 0 : positionOf(draft, path, step.after) + 1;
  Automerge.splice(draft, path, at, 0, step.text);
}

/** In UTF-16 code units. @throws RangeError for what is deleted: its place is its neighbour's */
function positionOf(draft: Automerge.Doc<unknown>, path: Automerge.Prop[], element: string): number {
  const position = Automerge.getCursorPosition(draft, path, element);
  if (Automerge.getCursor(draft, path, position) !== element) throw new RangeError(`${element} is deleted`);
  return position;
}

/** Null for what is no text, or is not in the document any more, or is not there: another one stands under its name. */
function pathTo(doc: Automerge.Doc<unknown>, object: string): Automerge.Prop[] | null {
  try {
    const { type, path } = Automerge.getBackend(doc).objInfo(object);
    return type === "text" && path !== undefined ? path : null;
  } catch {
    return null;
  }
}
