/** Ids, texts and logs as tests write them. */
import { index, isNodeId, type NodeId, term } from "@openclaw/core/ids.ts";
import type { Entry, RaftMessage } from "@openclaw/core/raft/message.ts";

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
  stamp: 0,
  data: bytes(data),
});

/** A log of these terms from index 1 on, as the paper draws it. */
export const logOf = (...terms: readonly number[]): readonly Entry[] =>
  terms.map((ofTerm, at) => entry(at + 1, ofTerm, `${at + 1}@${ofTerm}`));

/** A candidate's request, as if the candidate's log ended with (lastIndex, lastTerm). */
export function campaign(
  kind: "preVote" | "vote",
  from: string,
  to: string,
  ofTerm: number,
  [lastIndex, lastTerm]: readonly [number, number],
): RaftMessage {
  const envelope = { from: nodeId(from), to: nodeId(to), term: term(ofTerm) };
  const log = { lastIndex: index(lastIndex), lastTerm: term(lastTerm) };
  return kind === "vote" ? { kind, ...envelope, ...log, transfer: false } : { kind, ...envelope, ...log };
}
