/** Ids, texts and logs as tests write them. */
import { index, isNodeId, type NodeId, term } from "@openclaw/core/ids.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";

export function nodeId(text: string): NodeId {
  if (!isNodeId(text)) throw new Error(`${text} is no node id`);
  return text;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (data: Uint8Array): string => new TextDecoder().decode(data);

export const entry = (at: number, ofTerm: number, data = ""): Entry => ({
  index: index(at),
  term: term(ofTerm),
  kind: data === "" ? "noop" : "commands",
  data: bytes(data),
});

/** A log of these terms from index 1 on, as the paper draws it. */
export const logOf = (...terms: readonly number[]): readonly Entry[] =>
  terms.map((ofTerm, at) => entry(at + 1, ofTerm, `${at + 1}@${ofTerm}`));
