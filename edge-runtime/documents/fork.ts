/** An edit that arrives as operations: made on a fork of the committed document under an actor used once (rule D4). */
import * as Automerge from "@automerge/automerge";
import { InvariantViolation, invariant, OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import { isActorId, isChangeHash } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { CHANGE_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { DocumentOperation, Path } from "./job.ts";

type Doc = Automerge.Doc<Record<string, unknown>>;

/**
 * The change that `operations` make on `doc`, which stays as it is; null if they change nothing.
 * @param time seconds since 1970
 * @throws OpenClawError BAD_REQUEST, CHANGE_TOO_LARGE
 */
export function fork(
  doc: Doc,
  actor: string,
  time: number,
  operations: readonly DocumentOperation[],
): DocumentChange | null {
  const copy = Automerge.clone(doc, { actor });
  let edited = copy;
  try {
    edited = Automerge.change(copy, { time }, (draft) => {
      for (const [at, operation] of operations.entries()) perform(draft, operation, `ops[${at}]`);
    });
    const bytes = Automerge.getLastLocalChange(edited);
    return bytes === undefined ? null : described(bytes);
  } catch (error) {
    if (error instanceof OpenClawError || error instanceof InvariantViolation) throw error;
    // Such as a whole number beyond 2^53, which Automerge stores and then cannot read.
    throw new OpenClawError("BAD_REQUEST", "Automerge refuses these operations", { cause: error });
  } finally {
    Automerge.free(edited);
  }
}

/** A change of our own making, described as it travels. @throws OpenClawError CHANGE_TOO_LARGE */
function described(bytes: Uint8Array): DocumentChange {
  if (bytes.length > CHANGE_BYTES_MAX) throw new OpenClawError("CHANGE_TOO_LARGE", `${bytes.length} bytes`);
  const { hash, actor, seq, deps } = Automerge.decodeChange(bytes);
  invariant(isChangeHash(hash) && isActorId(actor) && deps.every(isChangeHash), "Automerge describes its own change");
  return { hash, actor, seq, deps, bytes };
}

function perform(draft: Record<string, unknown>, operation: DocumentOperation, where: string): void {
  const fail = (why: string): OpenClawError => new OpenClawError("BAD_REQUEST", `${where}: ${why}`);
  switch (operation.op) {
    case "put": {
      const { parent, last } = parentOf(draft, operation.path, fail);
      if (!Array.isArray(parent)) parent[mapKey(last, fail)] = operation.value;
      else if (last === parent.length) parent.push(operation.value);
      else parent[listIndex(last, parent, fail)] = operation.value;
      return;
    }
    case "delete": {
      const { parent, last } = parentOf(draft, operation.path, fail);
      if (Array.isArray(parent)) parent.splice(listIndex(last, parent, fail), 1);
      else if (Object.hasOwn(parent, last)) delete parent[mapKey(last, fail)];
      else throw fail(`there is nothing at ${shown(operation.path)}`);
      return;
    }
    case "splice": {
      const target = valueAt(draft, operation.path, fail);
      const { index, insert } = operation;
      if (typeof target !== "string" && !Array.isArray(target)) throw fail("only a text or a list can be spliced");
      if (index > target.length || index + operation.delete > target.length) {
        throw fail(`the range ends beyond ${target.length}`);
      }
      if (typeof target === "string") {
        if (typeof insert !== "string") throw fail("a text takes a text");
        Automerge.splice(draft, [...operation.path], index, operation.delete, insert);
      } else {
        if (typeof insert === "string") throw fail("a list takes a list");
        target.splice(index, operation.delete, ...insert);
      }
      return;
    }
    default:
      unreachable(operation);
  }
}

type Fail = (why: string) => OpenClawError;
type Container = Record<string, unknown> | unknown[];

function parentOf(
  draft: Record<string, unknown>,
  path: Path,
  fail: Fail,
): { parent: Container; last: string | number } {
  const last = path.at(-1);
  if (last === undefined) throw fail("the path is empty; the root is always a map");
  const parent = valueAt(draft, path.slice(0, -1), fail);
  if (!isContainer(parent)) throw fail(`there is no map or list at ${shown(path.slice(0, -1))}`);
  return { parent, last };
}

function valueAt(draft: Record<string, unknown>, path: Path, fail: Fail): unknown {
  let value: unknown = draft;
  for (const step of path) {
    if (Array.isArray(value)) value = value[listIndex(step, value, fail)];
    else if (isContainer(value) && Object.hasOwn(value, step)) value = value[mapKey(step, fail)];
    else throw fail(`there is nothing at ${shown(path)}`);
  }
  return value;
}

const isContainer = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !(value instanceof Uint8Array) && !(value instanceof Date);

function mapKey(step: string | number, fail: Fail): string {
  if (typeof step !== "string") throw fail("a map takes text keys");
  if (step === "__proto__") throw fail("__proto__ is no key"); // pitfall 49
  return step;
}

function listIndex(step: string | number, list: readonly unknown[], fail: Fail): number {
  if (typeof step !== "number" || step >= list.length) throw fail(`the list has no element ${String(step)}`);
  return step;
}

const shown = (path: Path): string => `/${path.join("/")}`;
