/**
 * Runs a scripted conversation (conversations/*.txt): commands, each group of them followed by all that the nodes then
 * say, write and apply. Read election.txt first.
 *
 *     # prose                      command            what happens, a line each
 *                                  command
 *                                  ----
 *
 * Paragraphs are separated by blank lines. A message is shown when it arrives or is lost, indented beneath it what its
 * receiver does; what is left on the wire is counted. Expected lines are rewritten by
 *
 *     REWRITE=1 npm exec -- vitest run test/unit/raft/conversation.test.ts
 *
 * Commit only a difference that you understand.
 */
import { index, term } from "@openclaw/core/ids.ts";
import type { MembershipChange } from "@openclaw/core/raft/membership.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { logOf, nodeId } from "../../simulation/raft/fixtures.ts";
import { type Seen, TestCluster } from "../../simulation/raft/harness.ts";
import type { TestNode } from "../../simulation/raft/test-node.ts";
import {
  doneTexts,
  entryText,
  membershipText,
  messageText,
  roleText,
  statusText,
  writeText,
} from "./conversation-text.ts";

const NAMES = ["a", "b", "c", "d", "e", "f", "g"];
const RULE = "----";

/** The script with its expectations as they should be. Throws what a command throws, with the command. */
export function converse(script: string): string {
  const conversation = new Conversation();
  const paragraphs = script.trimEnd().split("\n\n");
  return `${paragraphs.map((paragraph) => paragraphOf(conversation, paragraph)).join("\n\n")}\n`;
}

function paragraphOf(conversation: Conversation, paragraph: string): string {
  const lines = paragraph.split("\n");
  if (lines.every((line) => line.startsWith("#"))) return paragraph;
  const rule = lines.indexOf(RULE);
  if (rule < 0) throw new Error(`no ${RULE} and no expectation after: ${paragraph}`);
  const commands = lines.slice(0, rule);
  for (const command of commands) {
    try {
      conversation.run(command);
    } catch (error) {
      throw new Error(`${command}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
  return [...commands, RULE, ...conversation.takeLines()].join("\n");
}

type Command = (conversation: Conversation, words: readonly string[]) => void;

const word = (words: readonly string[], at: number): string => {
  const found = words[at];
  if (found === undefined) throw new Error("a word is missing");
  return found;
};

const count = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new Error(`${text} is no number`);
  return Number(text);
};

/** `append`, `a>b`, `a>`, `>b append`: every word has to match. No word matches all. */
function matcher(words: readonly string[]): (message: RaftMessage) => boolean {
  const tests = words.map((wanted) => {
    const [from, to] = wanted.split(">");
    if (to === undefined) return (message: RaftMessage) => message.kind === wanted;
    return (message: RaftMessage) => (from === "" || from === message.from) && (to === "" || to === message.to);
  });
  return (message) => tests.every((test) => test(message));
}

function changeOf([kind = "", node = "", as, replaces]: readonly string[]): MembershipChange {
  if (kind === "remove") return { kind, node: nodeId(node) };
  if (kind !== "add" || (as !== undefined && as !== "for")) throw new Error("add d, add d for c, or remove c");
  return { kind, node: nodeId(node), replaces: replaces === undefined ? null : nodeId(replaces) };
}

/** By name; the words after it are given. */
const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  // add-nodes 4 [founders 3] [window 2] [batch 1] [by-hand] [leader a]: the window in appends, a batch in bytes;
  // snapshots by hand; the leader is elected before anybody looks
  ["add-nodes", (conversation, words) => conversation.begin(words)],
  // set-log a 1 1 4: terms of a's entries, all on disk
  [
    "set-log",
    ({ cluster }, [name = "", ...terms]) => {
      const { disk } = cluster.node(name);
      cluster.crash(name);
      const entries = logOf(...terms.map(count));
      disk.append({ term: entries.at(-1)?.term ?? term(0), vote: null, commit: index(0) }, entries);
      cluster.restart(name);
    },
  ],
  // set-term a 7: the last term that a has heard of
  [
    "set-term",
    ({ cluster }, words) => {
      const { disk } = cluster.node(word(words, 0));
      cluster.crash(word(words, 0));
      disk.hardState = { ...disk.hardState, term: term(count(word(words, 1))) };
      cluster.restart(word(words, 0));
    },
  ],
  // campaign a: its election timeout passes
  [
    "campaign",
    ({ cluster }, words) => {
      const raft = cluster.raft(word(words, 0));
      if (raft.role !== "follower") throw new Error("campaigns or leads already");
      for (let ticks = 0; ticks < 40 && raft.role === "follower"; ticks++) raft.tick();
    },
  ],
  // tick [a] [10]: time passes, and nothing is delivered
  [
    "tick",
    ({ cluster }, words) => {
      const names = words.filter((name) => !/^\d+$/.test(name));
      const times = count(words.find((name) => /^\d+$/.test(name)) ?? "1");
      for (let tick = 0; tick < times; tick++) {
        for (const id of names.length === 0 ? cluster.ids : names) cluster.node(id).raft?.tick();
        cluster.pump();
      }
    },
  ],
  [
    "propose",
    (conversation, [name = "", ...data]) => {
      const raft = conversation.cluster.raft(name);
      const proposed = raft.propose(new TextEncoder().encode(data.join(" ")));
      if (!proposed.ok) conversation.say(`${name} refuses: ${proposed.code}`);
    },
  ],
  [
    "forward",
    (conversation, [name = "", ...data]) => {
      const taken = conversation.cluster.raft(name).forward(new TextEncoder().encode(data.join(" ")));
      if (!taken) conversation.say(`${name} knows no leader`);
    },
  ],
  [
    "read",
    ({ cluster }, words) => {
      const node = cluster.node(word(words, 0));
      cluster.checks.asksRead(node, count(word(words, 1)));
      node.up.readIndex(count(word(words, 1)));
    },
  ],
  // deliver [a>b] [append]: what is on the wire now, and not what comes of it
  [
    "deliver",
    ({ cluster }, words) => {
      for (const message of cluster.drop(matcher(words))) {
        cluster.step(message);
        cluster.settle(() => false);
      }
    },
  ],
  // deliver-last [a>b] [append]: the youngest such message, before those that were sent earlier
  [
    "deliver-last",
    ({ cluster }, words) => {
      const at = cluster.wire.findLastIndex(matcher(words));
      if (at < 0) throw new Error("no such message");
      cluster.deliverAt(at);
    },
  ],
  // duplicate [a>b] [append]: as deliver, and they stay on the wire
  [
    "duplicate",
    ({ cluster }, words) => {
      for (const message of cluster.wire.filter(matcher(words))) {
        cluster.step(message);
        cluster.settle(() => false);
      }
    },
  ],
  [
    "drop",
    (conversation, words) => {
      const { cluster } = conversation;
      const matches = matcher(words);
      const times = new Map<string, number>();
      for (let at = cluster.wire.findIndex(matches); at >= 0; at = cluster.wire.findIndex(matches)) {
        for (const message of cluster.wire.slice(at, at + 1)) {
          times.set(messageText(message), (times.get(messageText(message)) ?? 0) + 1);
        }
        cluster.loseAt(at);
      }
      for (const [said, often] of times) conversation.say(`${said}: lost${often === 1 ? "" : ` ${often} times`}`);
    },
  ],
  // stabilize [a b]: everything between these nodes, until all is quiet
  [
    "stabilize",
    ({ cluster }, names) => {
      cluster.settle(({ from, to }) => names.length === 0 || (names.includes(from) && names.includes(to)));
    },
  ],
  ["hold-disk", ({ cluster }, words) => holdDisk(cluster.node(word(words, 0)), true)],
  ["free-disk", ({ cluster }, words) => holdDisk(cluster.node(word(words, 0)), false)],
  // write c: the oldest write in flight reaches c's disk
  ["write", ({ cluster }, words) => cluster.completeWrite(word(words, 0))],
  ["cut", ({ cluster }, words) => cluster.cutFrom(...link(word(words, 0)))],
  ["isolate", ({ cluster }, words) => cluster.isolate(word(words, 0))],
  ["heal", ({ cluster }) => cluster.heal()],
  // crash a: what is not durable is lost
  ["crash", ({ cluster }, words) => cluster.crash(word(words, 0))],
  // rot c 2: of c, which is down, the last two entries cannot be read any more
  ["rot", ({ cluster }, words) => cluster.node(word(words, 0)).disk.rot(count(word(words, 1)))],
  ["restart", ({ cluster }, words) => void cluster.restart(word(words, 0))],
  // compact a [2]: the log up to the applied index, but for the last two, makes way for the state
  ["compact", ({ cluster }, words) => cluster.compact(word(words, 0), count(words[1] ?? "0"))],
  // snapshot a b: a sends b what it has applied
  ["snapshot", ({ cluster }, words) => cluster.sendSnapshot(word(words, 0), word(words, 1))],
  [
    "change",
    (conversation, [name = "", ...change]) => {
      const answer = conversation.cluster.raft(name).changeMembership(changeOf(change));
      if (!answer.ok) conversation.say(`${name} refuses: ${answer.code}`);
    },
  ],
  [
    "transfer",
    (conversation, words) => {
      const answer = conversation.cluster.raft(word(words, 0)).transferLeadership(nodeId(word(words, 1)));
      if (!answer.ok) conversation.say(`${word(words, 0)} refuses: ${answer.code}, ${answer.details}`);
    },
  ],
  [
    "status",
    (conversation, names) => {
      for (const { id, raft } of conversation.nodes(names))
        conversation.say(raft === null ? `${id} is down` : statusText(raft.status()));
    },
  ],
  // raft-log [a]: what is on disk
  [
    "raft-log",
    (conversation, names) => {
      for (const { id, disk } of conversation.nodes(names)) {
        const base = disk.base.index === 0 ? "" : `(up to ${disk.base.index}/${disk.base.term} compacted) `;
        conversation.say(`${id}: ${base}${disk.entries.map(entryText).join(", ") || "empty"}`);
      }
    },
  ],
  [
    "wire",
    (conversation, words) => {
      for (const message of conversation.cluster.wire.filter(matcher(words))) conversation.say(messageText(message));
    },
  ],
]);

function link(text: string): readonly [string, string] {
  const [from, to] = text.split(">");
  if (from === undefined || to === undefined) throw new Error("a link is written a>b");
  return [from, to];
}

function holdDisk(node: TestNode, held: boolean): void {
  node.diskHeld = held;
}

class Conversation {
  #cluster: TestCluster | null = null;
  #lines: string[] = [];
  /** Role and membership of each node as last told. */
  readonly #told = new Map<string, string>();
  #depth = 0;

  get cluster(): TestCluster {
    if (this.#cluster === null) throw new Error("add-nodes comes first");
    return this.#cluster;
  }

  run(command: string): void {
    const [name = "", ...words] = command.split(" ");
    const run = COMMANDS.get(name);
    if (run === undefined) throw new Error(`unknown command ${name}`);
    this.#depth = 0;
    run(this, words);
    this.#depth = 0;
    // Disks that are not held are done at once.
    this.cluster.settle(() => false);
  }

  begin(words: readonly string[]): void {
    if (this.#cluster !== null) throw new Error("nodes are added once");
    const option = (name: string): number | undefined => {
      const at = words.indexOf(name);
      return at < 0 ? undefined : count(word(words, at + 1));
    };
    const names = NAMES.slice(0, count(word(words, 0)));
    const window = option("window");
    const batch = option("batch");
    this.#cluster = new TestCluster(names, {
      founders: names.slice(0, option("founders") ?? names.length),
      random: () => 0.5,
      raft: {
        ...(window === undefined ? {} : { maxInflight: window }),
        ...(batch === undefined ? {} : { maxBatchBytes: batch }),
      },
      snapshotsByHand: words.includes("by-hand"),
      watch: (seen) => this.#watch(seen),
    }).start();
    const leader = words.indexOf("leader");
    if (leader < 0) return;
    this.#cluster.elect(word(words, leader + 1));
    this.#lines = [];
    this.#depth = 0;
    for (const { raft } of this.#cluster.nodes) if (raft !== null) this.say(statusText(raft.status()));
  }

  nodes(names: readonly string[]): readonly TestNode[] {
    return this.cluster.nodes.filter(({ id }) => names.length === 0 || names.includes(id));
  }

  say(line: string): void {
    this.#lines.push(`${"  ".repeat(this.#depth)}${line}`);
  }

  takeLines(): readonly string[] {
    const lines = this.#lines;
    this.#lines = [];
    const left = this.cluster.wire.length;
    if (left > 0) lines.push(`(${left} on the wire)`);
    return lines.length === 0 ? ["(nothing)"] : lines;
  }

  #watch(seen: Seen): void {
    switch (seen.kind) {
      case "message":
        this.#depth = 0;
        this.say(`${messageText(seen.message)}${seen.reaches ? "" : ": lost"}`);
        this.#depth = 1;
        return;
      case "turn":
        this.#tell(seen.node);
        return;
      case "written":
        this.#depth = 0;
        if (seen.node.diskHeld) this.say(`${seen.node.id} has written ${writeText(seen.ready)}`);
        this.#depth = 1;
        return;
      case "ready": {
        const { node, ready } = seen;
        const { id } = node;
        if (ready.snapshot !== null)
          this.say(`${id} installs the snapshot up to ${ready.snapshot.index}/${ready.snapshot.term}`);
        const write = writeText(ready);
        if (write !== null) this.say(`${id} ${node.diskHeld ? "starts to write" : "writes"} ${write}`);
        for (const line of doneTexts(ready)) this.say(`${id} ${line}`);
        return;
      }
    }
  }

  /** What changed of a node's role, leader, term and membership. */
  #tell({ id, raft }: TestNode): void {
    if (raft === null) return;
    const status = raft.status();
    const lines = [roleText(status), `${id} goes by ${membershipText(status.membership)}`];
    if (status.removed) lines.push(`${id} is removed`);
    for (const [at, line] of lines.entries()) {
      const known = this.#told.get(`${id} ${at}`);
      this.#told.set(`${id} ${at}`, line);
      if (known !== line) this.say(line);
    }
    if (!status.removed) this.#told.delete(`${id} 2`);
  }
}
