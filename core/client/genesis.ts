/**
 * The first change of a document: its initial content, made the same by everyone who makes it. Two devices that create
 * one document offline, with one content, make one change with one hash, and their edits meet.
 */
import * as Automerge from "@automerge/automerge/slim";
import { toHex, utf8 } from "../bytes.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { Digest } from "../ports.ts";
import { changesSince } from "./changes.ts";

/**
 * The actor is derived from the name and from the content, so that two contents are two authors: under one author the
 * second would be quarantined with all that follows it (D2).
 */
export async function genesis(
  digest: Digest,
  collection: string,
  document: string,
  initial: Readonly<Record<string, unknown>>,
): Promise<readonly DocumentChange[]> {
  const actor = async (text: string): Promise<string> => toHex((await digest(utf8(text))).subarray(0, 16));
  const name = `openclaw genesis\n${JSON.stringify([collection, document])}\n`;
  const draft = create(await actor(name), initial);
  const [content] = changesSince(draft, []);
  if (content === undefined) return [];
  return changesSince(create(await actor(name + content.hash), initial), []);
}

function create(actor: string, initial: Readonly<Record<string, unknown>>): Automerge.Doc<Record<string, unknown>> {
  return Automerge.change(Automerge.init<Record<string, unknown>>({ actor }), { time: 0 }, (doc) => {
    // Sorted: an object's own order is not part of its meaning, and would be part of the hash.
    for (const key of Object.keys(initial).sort()) doc[key] = initial[key];
  });
}
