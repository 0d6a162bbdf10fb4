/**
 * What nodes say and do, as lines that read like prose. `4/2` is entry 4 of term 2; `{a b c}` are voters, and
 * `{a b d} with {a b c}` are those of a joint configuration.
 */
import { unreachable } from "@openclaw/core/errors.ts";
import type { Membership, MembershipChange } from "@openclaw/core/raft/membership.ts";
import { decodeMembership } from "@openclaw/core/raft/membership-codec.ts";
import type { Entry, RaftMessage } from "@openclaw/core/raft/message.ts";
import type { RaftStatus, Ready } from "@openclaw/core/raft/ready.ts";
import { text } from "../../simulation/raft/fixtures.ts";

/** ReadIndex numbers of a follower count on from half of 2 ** 48, for every draw in a conversation is 0.5. */
const FIRST_NUMBER = 2 ** 47;

const LIST = ", ";

export function membershipText({ voters, outgoing, learners }: Membership): string {
  const joint = outgoing.length === 0 ? "" : ` with {${outgoing.join(" ")}}`;
  const learner = learners.map(({ id, replaces }) => ` learner ${id}${replaces === null ? "" : ` for ${replaces}`}`);
  return `{${voters.join(" ")}}${joint}${learner.join("")}`;
}

export function entryText({ index, term, kind, data }: Entry): string {
  const at = `${index}/${term}`;
  switch (kind) {
    case "noop":
      return `${at} no-op`;
    case "commands":
      // The logs that set-log plants tell nothing more.
      return text(data) === `${index}@${term}` ? at : `${at} "${text(data)}"`;
    case "configuration":
      return `${at} configuration ${membershipText(decodeMembership(data))}`;
    default:
      return unreachable(kind);
  }
}

const entriesText = (entries: readonly Entry[]): string => entries.map(entryText).join(LIST);

function changeText(change: MembershipChange): string {
  if (change.kind === "remove") return `remove ${change.node}`;
  return `add ${change.node}${change.replaces === null ? "" : ` for ${change.replaces}`}`;
}

/** `a → b append term 1, …` */
export function messageText(message: RaftMessage): string {
  const { from, to, kind, term } = message;
  const said = fieldsText(message);
  return `${from} → ${to} ${kind} term ${term}${said === "" ? "" : `, ${said}`}`;
}

function fieldsText(message: RaftMessage): string {
  switch (message.kind) {
    case "preVote":
      return `log ends at ${message.lastIndex}/${message.lastTerm}`;
    case "vote":
      return `log ends at ${message.lastIndex}/${message.lastTerm}${message.transfer ? ", the leader hands over" : ""}`;
    case "preVoteResponse":
    case "voteResponse":
      return message.granted ? "granted" : "refused";
    case "append": {
      const after = `after ${message.prevIndex}/${message.prevTerm}`;
      const entries = message.entries.length === 0 ? "nothing" : entriesText(message.entries);
      return `${after}: ${entries}; commit ${message.commit}`;
    }
    case "appendAccepted":
      return `match ${message.match}`;
    case "appendUncounted":
      return `match ${message.match}, not to be counted`;
    case "appendRejected":
      return `no such ${message.prevIndex}, try ${message.hintIndex}/${message.hintTerm}`;
    case "heartbeat": {
      const round = message.context === 0 ? "" : `, round ${message.context}`;
      return `match ${message.match}/${message.matchTerm}, commit ${message.commit}${round}`;
    }
    case "commit":
      return `match ${message.match}/${message.matchTerm}, commit ${message.commit}`;
    case "heartbeatResponse":
      return message.context === 0 ? "" : `round ${message.context}`;
    case "snapshot":
      return `ends at ${message.meta.index}/${message.meta.term}, ${membershipText(message.meta.membership)}`;
    case "stateRequest":
      return `at least ${message.atLeast}`;
    case "readIndex":
      return `question ${message.context - FIRST_NUMBER}`;
    case "readIndexResponse":
      return `question ${message.context - FIRST_NUMBER}, index ${message.index}`;
    case "forward":
      return `"${text(message.data)}"`;
    case "changeMembership":
      return changeText(message.change);
    case "transferLeadership":
      return `to ${message.target}`;
    case "timeoutNow":
      return "";
    case "removed":
      return `by the configuration at ${message.configuration}/${message.ofTerm}`;
    default:
      return unreachable(message);
  }
}

export function roleText({ id, role, term, leader }: RaftStatus): string {
  if (role === "leader") return `${id} leads in term ${term}`;
  if (role === "follower" && leader !== null) return `${id} follows ${leader} in term ${term}`;
  return `${id} is ${role} in term ${term}`;
}

/** What of a Ready goes to the disk; null if nothing does. */
export function writeText({ hardState, entries }: Ready): string | null {
  const parts: string[] = [];
  if (hardState !== null) {
    const { term, vote, commit } = hardState;
    parts.push(`term ${term}, vote ${vote ?? "for nobody"}, commit ${commit}`);
  }
  if (entries.length > 0) parts.push(entriesText(entries));
  return parts.length === 0 ? null : parts.join("; ");
}

/** What of a Ready is done besides messages and writes. */
export function doneTexts(ready: Ready): readonly string[] {
  const lines: string[] = [];
  if (ready.committed.length > 0) lines.push(`applies ${entriesText(ready.committed)}`);
  for (const { context, index } of ready.readStates) lines.push(`may answer read ${context} at ${index}`);
  for (const context of ready.readsDropped) lines.push(`drops read ${context}`);
  for (const data of ready.forwarded) lines.push(`is forwarded "${text(data)}"`);
  for (const to of ready.snapshotsTo) lines.push(`has to send ${to} a snapshot`);
  return lines;
}

export function statusText(status: RaftStatus): string {
  const { firstIndex, lastIndex, commit, membership, recoveringTo, progress, transferringTo } = status;
  const log = `log ${lastIndex < firstIndex ? `empty after ${lastIndex}` : `${firstIndex} to ${lastIndex}`}`;
  const parts = [roleText(status), log, `commit ${commit}`, membershipText(membership)];
  if (status.removed) parts.push("removed");
  if (recoveringTo !== null) parts.push(`recovers to ${recoveringTo}`);
  if (transferringTo !== null) parts.push(`hands over to ${transferringTo}`);
  const matches = progress.map(({ id, match, active }) => `${id} ${match}${active ? "" : " (silent)"}`);
  return `${parts.join(LIST)}${matches.length === 0 ? "" : `; match ${matches.join(LIST)}`}`;
}
