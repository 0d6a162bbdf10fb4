/**
 * Raft messages as bytes. A batch is [message, …], and a message is [kind, from, to, term, …] with the fields in the order
 * of message.ts. Partition and epoch stand before each batch, where the transport stamps it (rule L3).
 *
 * Entries follow one another, so an index is never written: an append implies it from `prevIndex`.
 */
import { decode, type Encodable, encodePooled, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { index, isNodeId, type NodeId, revision, type Term, term } from "../ids.ts";
import { BATCH_ITEMS_MAX } from "../limits.ts";
import { entriesTuple, metaTuple, readEntries, readMeta } from "./entry-codec.ts";
import { changeTuple, readChange } from "./membership-codec.ts";
import type { RaftMessage, RaftMessageKind, StateMark } from "./message.ts";

/** Messages in one frame: a peer that has more to say sends a second frame. */
export const FRAME_MESSAGES_MAX = BATCH_ITEMS_MAX;

/** Position is the number on the wire: append only. */
const KINDS = [
  "preVote",
  "preVoteResponse",
  "vote",
  "voteResponse",
  "append",
  "appendAccepted",
  "appendRejected",
  "appendUncounted",
  "heartbeat",
  "heartbeatResponse",
  "snapshot",
  "readIndex",
  "readIndexResponse",
  "forward",
  "changeMembership",
  "transferLeadership",
  "timeoutNow",
  "removed",
  "commit",
  "stateRequest",
] as const satisfies readonly RaftMessageKind[];

const KIND_NUMBERS = new Map<RaftMessageKind, number>(KINDS.map((kind, number) => [kind, number]));

export const encodeMessages = (messages: readonly RaftMessage[]): Uint8Array =>
  encodePooled(messages.map(messageTuple));

/** @throws OpenClawError MALFORMED_FRAME */
export function decodeMessages(bytes: Uint8Array): readonly RaftMessage[] {
  const list = decode(bytes);
  if (!Array.isArray(list)) throw new OpenClawError("MALFORMED_FRAME", "raft messages are not a list");
  return readMessages(list);
}

function readMessages(list: readonly Encodable[]): readonly RaftMessage[] {
  if (list.length > FRAME_MESSAGES_MAX) throw new OpenClawError("MALFORMED_FRAME", "too many raft messages");
  return list.map(readMessage);
}

function messageTuple(message: RaftMessage): Encodable {
  return [KIND_NUMBERS.get(message.kind) ?? null, message.from, message.to, message.term, ...fields(message)];
}

function fields(message: RaftMessage): readonly Encodable[] {
  switch (message.kind) {
    case "preVote":
      return [message.lastIndex, message.lastTerm];
    case "vote":
      return [message.lastIndex, message.lastTerm, message.transfer];
    case "preVoteResponse":
    case "voteResponse":
      return [message.granted];
    case "append":
      return [message.prevIndex, message.prevTerm, message.commit, entriesTuple(message.entries)];
    case "appendAccepted":
    case "appendUncounted":
      return [message.match];
    case "stateRequest":
      return [message.atLeast];
    case "appendRejected":
      return [message.prevIndex, message.hintIndex, message.hintTerm];
    case "heartbeat":
      return [message.match, message.matchTerm, message.commit, message.context, markTuple(message.mark)];
    case "commit":
      return [message.match, message.matchTerm, message.commit];
    case "heartbeatResponse":
    case "readIndex":
      return [message.context];
    case "snapshot":
      return [metaTuple(message.meta)];
    case "readIndexResponse":
      return [message.context, message.index];
    case "forward":
      return [message.data];
    case "changeMembership":
      return [changeTuple(message.change)];
    case "transferLeadership":
      return [message.target];
    case "timeoutNow":
      return [];
    case "removed":
      return [message.configuration, message.ofTerm];
    default:
      return unreachable(message);
  }
}

const markTuple = (mark: StateMark | null): Encodable =>
  mark === null ? null : [mark.applied, mark.revision, mark.hash];

function readMark(value: Encodable): StateMark {
  const reader = new TupleReader(value, "state mark");
  const mark = { applied: index(reader.count()), revision: revision(reader.count()), hash: reader.bytes() };
  reader.end();
  return mark;
}

function readMessage(value: Encodable): RaftMessage {
  const reader = new TupleReader(value, "raft message");
  const kind = KINDS[reader.count()];
  if (kind === undefined) throw new OpenClawError("MALFORMED_FRAME", "a raft message of an unknown kind");
  const envelope = {
    from: reader.that(isNodeId, "a node id"),
    to: reader.that(isNodeId, "a node id"),
    term: term(reader.count()),
  };
  const message = readFields(kind, envelope, reader);
  reader.end();
  return message;
}

function readFields(
  kind: RaftMessageKind,
  envelope: { readonly from: NodeId; readonly to: NodeId; readonly term: Term },
  reader: TupleReader,
): RaftMessage {
  switch (kind) {
    case "preVote":
      return { kind, ...envelope, lastIndex: index(reader.count()), lastTerm: term(reader.count()) };
    case "vote":
      return {
        kind,
        ...envelope,
        lastIndex: index(reader.count()),
        lastTerm: term(reader.count()),
        transfer: reader.flag(),
      };
    case "preVoteResponse":
    case "voteResponse":
      return { kind, ...envelope, granted: reader.flag() };
    case "append": {
      const prevIndex = index(reader.count());
      const prevTerm = term(reader.count());
      const commit = index(reader.count());
      const entries = readEntries(reader.list(), { index: prevIndex, term: prevTerm }, BATCH_ITEMS_MAX);
      const last = entries.at(-1);
      if (last !== undefined && last.term > envelope.term) {
        throw new OpenClawError("MALFORMED_FRAME", "an entry of a term after its leader's");
      }
      return { kind, ...envelope, prevIndex, prevTerm, entries, commit };
    }
    case "appendAccepted":
    case "appendUncounted":
      return { kind, ...envelope, match: index(reader.count()) };
    case "stateRequest":
      return { kind, ...envelope, atLeast: index(reader.count()) };
    case "appendRejected":
      return {
        kind,
        ...envelope,
        prevIndex: index(reader.count()),
        hintIndex: index(reader.count()),
        hintTerm: term(reader.count()),
      };
    case "heartbeat":
      return {
        kind,
        ...envelope,
        match: index(reader.count()),
        matchTerm: term(reader.count()),
        commit: index(reader.count()),
        context: reader.count(),
        mark: reader.orNull((field) => readMark(field.any())),
      };
    case "commit":
      return {
        kind,
        ...envelope,
        match: index(reader.count()),
        matchTerm: term(reader.count()),
        commit: index(reader.count()),
      };
    case "heartbeatResponse":
    case "readIndex":
      return { kind, ...envelope, context: reader.count() };
    case "snapshot":
      return { kind, ...envelope, meta: readMeta(reader.any()) };
    case "readIndexResponse":
      return { kind, ...envelope, context: reader.count(), index: index(reader.count()) };
    case "forward":
      return { kind, ...envelope, data: reader.bytes() };
    case "changeMembership":
      return { kind, ...envelope, change: readChange(reader.any()) };
    case "transferLeadership":
      return { kind, ...envelope, target: reader.that(isNodeId, "a node id") };
    case "timeoutNow":
      return { kind, ...envelope };
    case "removed":
      return { kind, ...envelope, configuration: index(reader.count()), ofTerm: term(reader.count()) };
    default:
      return unreachable(kind);
  }
}
