/**
 * Planted bugs: each alters production code, stands for a mistake that others made in public, and has to be caught by the
 * simulator. An edit replaces text that occurs once in its file; adding a mutant takes one entry.
 */
import type { World } from "../run-seed.ts";

export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** The public bug it stands for; "pitfall" numbers are those of test names. */
  readonly bug: string;
  readonly edits: readonly Edit[];
  /** Where it is looked for; in the world of a site unless given. */
  readonly world?: World;
}

const one = (name: string, bug: string, file: string, find: string, replace: string): Mutant => ({
  name,
  bug,
  edits: [{ file: `core/${file}.ts`, find, replace }],
});

const edge = (name: string, bug: string, file: string, find: string, replace: string): Mutant => ({
  name,
  bug,
  edits: [{ file: `edge-runtime/api/${file}.ts`, find, replace }],
});

/** Looked for in the hierarchy. */
const lives = (...row: Parameters<typeof one>): Mutant => ({ ...one(...row), world: "hierarchy" });

// biome-ignore format: a table reads best with a row a mutant
export const MUTANTS: readonly Mutant[] = [
  // Elections
  one("vote-forgotten-at-restart", "hashicorp/raft#661: term and vote written apart (pitfall 9)", "raft/node-state", "this.vote = hardState.vote;", "this.vote = null;"),
  one("vote-before-fsync", "a vote that leaves before it is on disk (thesis §3.8)", "raft/election", 'node.answer({ kind: "voteResponse", ...node.envelope(message.from), granted });\n  }\n\n  /** A request', 'node.send({ kind: "voteResponse", ...node.envelope(message.from), granted });\n  }\n\n  /** A request'),
  one("two-votes-a-term", "a server votes for whoever asks (thesis §3.4)", "raft/election", "return vote === candidate || (vote === null && leader === null);", "return vote === candidate || leader === null;"),
  one("own-vote-before-fsync", "a candidate counts a vote that a restart forgets (etcd#14370, pitfall 10)", "raft/election", 'node.answer({ kind: "voteResponse", ...node.envelope(node.id), granted: true });', "this.#votes.set(node.id, true);"),
  one("any-log-is-up-to-date", "no election restriction (thesis §3.6.1)", "raft/log", "return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);", "return lastTerm >= 0 && lastIndex >= 0;"),
  one("longer-log-wins", "logs compared by length alone (thesis §3.6.1)", "raft/log", "return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);", "return lastTerm >= 0 && lastIndex >= this.lastIndex;"),
  one("timeouts-not-random", "split votes for ever (thesis §3.4)", "raft/election", "Math.floor(random() * electionTicks)", "Math.floor(0 * random())"),
  one("minority-elects", "a replica is counted twice (LogCabin, willemt/raft)", "raft/quorum", "for (const voter of voters) if (test(voter)) passing++;", "for (const voter of voters) if (test(voter)) passing += passing === 0 ? 2 : 1;"),
  one("one-majority-of-a-joint-one", "a joint configuration decided by the new voters alone (thesis §4.3)", "raft/quorum", "outgoing.length === 0 ? [voters] : [voters, outgoing]", "[voters]"),
  one("configuration-survives-truncation", "a cut-off configuration goes on counting (canonical/raft#250, pitfall 15)", "raft/configurations", "while (this.#known.length > 1 && this.latest.index >= from) this.#known.pop();", "if (from < 0) this.#known.pop();"),
  one("leaver-does-not-campaign", "nobody can end a joint configuration (thesis §4.2.2, pitfall 6)", "raft/configurations", "return this.#known.some(({ membership })", "return this.#known.slice(-1).some(({ membership })"),
  one("learner-refuses-votes", "tikv#9579: a learner must vote when the candidate thinks it a voter (pitfall 18)", "raft/election", "const granted = this.#voteIsFree(message.from) && this.#mayGrant(message.lastIndex, message.lastTerm);\n    if (granted) {", "const granted =\n      node.quorum.has(node.id) && this.#voteIsFree(message.from) && this.#mayGrant(message.lastIndex, message.lastTerm);\n    if (granted) {"),
  one("transfer-to-a-lagging-node", "hashicorp/raft GH-581: leadership handed to one that cannot lead (pitfall 19)", "raft/transfer", "if (!this.#replication.holds(this.#target, this.#node.log.lastIndex)) return;", ""),
  // Replication
  one("append-acknowledged-before-fsync", "nats-server#7564: acknowledged and not on disk (pitfall 31)", "raft/node-state", "this.answer({ kind, ...this.envelope(to), match });", "this.send({ kind, ...this.envelope(to), match });"),
  one("leader-counts-unsynced", "etcd#14370: commit before the leader's own disk has it (pitfall 10)", "raft/replication", "voter === id ? durability.durable : (this.#progress", "voter === id ? log.lastIndex : (this.#progress"),
  one("old-write-vouches-for-new", "an old completion acknowledges a truncated entry (pitfall 11)", "raft/durability", "for (const write of this.#writes) if (write.claim > before) write.claim = before;", ""),
  one("older-term-committed-by-count", "Raft paper, figure 8 (pitfall 20)", "raft/replication", "if (held > log.commit && log.termAt(held) === this.#node.term) {", "if (held > log.commit) {"),
  one("minority-commits", "commit by less than a majority", "raft/quorum", "matches[majority(voters) - 1] ?? 0", "matches[Math.max(0, majority(voters) - 2)] ?? 0"),
  one("sent-counts-as-held", "match moved when an append is sent, not when it is answered (PySyncObj, by SandTable)", "raft/progress", "this.inflights.add(index(this.next - 1), bytes);", "this.inflights.add(index(this.next - 1), bytes);\n    this.match = index(this.next - 1);"),
  one("unknown-prev-is-a-match", "prevIndex beyond the log or below its base taken for a match (willemt/raft#118, pitfall 13)", "raft/follower", "if (committed <= 0 && log.termAt(message.prevIndex) !== message.prevTerm) {", "const known = log.termAt(message.prevIndex);\n    if (committed <= 0 && known !== null && known !== message.prevTerm) {"),
  one("prev-term-ignored", "log matching not checked (thesis §3.5)", "raft/follower", "if (committed <= 0 && log.termAt(message.prevIndex) !== message.prevTerm) {", "if (committed <= 0 && log.termAt(message.prevIndex) === null) {"),
  one("delayed-append-truncates", "a delayed append cuts off what a later one brought (Raft paper, receiver step 3)", "raft/log", "while (entry !== undefined && this.termAt(entry.index) === entry.term) entry = entries[++known];", "while (entry !== undefined && entry.index <= this.#commit) entry = entries[++known];"),
  one("follower-commits-its-own-suffix", "leaderCommit not bounded by the last new entry (Raft paper, receiver step 5)", "raft/follower", "log.commitTo(index(Math.min(message.commit, end)));", "log.commitTo(index(Math.min(message.commit, log.lastIndex)));"),
  {
    name: "heartbeat-commits-past-match",
    bug: "a heartbeat's commit taken without the logs' agreeing (etcd raft, bcastHeartbeat's min)",
    edits: [
      {
        file: "core/raft/follower.ts",
        find: "if (!node.installing && message.match > log.commit) {",
        replace:
          "if (!node.installing) log.commitTo(index(Math.min(message.commit, log.lastIndex)));\n    if (!node.installing && message.match > log.commit) {",
      },
    ],
  },
  one("recovering-node-acknowledges", "FAST'18: truncating at the first bad entry loses committed data (pitfall 27)", "raft/recovery", "return this.#target === null || match >= this.#target;", "return match >= 0;"),
  one("recovering-node-votes", "FAST'18: a node that lost entries elects a leader without them (pitfall 27)", "raft/election", "return recovery.isReached(lastIndex, lastTerm) && log", "return log"),
  one("commit-is-taken-for-applied", "etcd#13766: applied index apart from the state (pitfall 17)", "raft/raft", "this.#delivered = applied;", "this.#delivered = log.commit;"),
  // Log time
  one("new-leader-counts-the-time-between", "etcd#15247: what a stalled leader slept through ends leases (rule T1, pitfall 24)", "raft/stamps", "this.#stamped = null;\n  }", "this.#stamped ??= null;\n  }"),
  one("stamps-from-the-wall-clock", "leases that a clock step ends (rule T1, thesis §6.4.1)", "replica/raft-of-stored", "now: () => clock.now(),", "now: () => clock.wall(),"),
  one("stamps-counted-again", "each stamp from the leader's first entry on, not from its last (rule T1)", "raft/stamps", "this.#stamped += ms;", "this.#stamped += 0 * ms;"),
  one("log-time-forgotten-between-revisions", "time kept in memory only, lost with a batch that writes nothing (rule R6, T1)", "state-machine/ledger-writer", "if (this.#moved) this.#tx", "if (this.records.length > 0) this.#tx"),
  // Snapshots and stores
  one("snapshot-truncates-newer-entries", "camunda#6092: a snapshot behind the log's end cuts it (pitfall 12)", "raft/snapshot", "if (!node.installing && log.termAt(meta.index) === meta.term) {", "if (meta.index < 0) {"),
  one("log-reset-before-state", "the log is gone and the state is not there yet (rule R8)", "replica/snapshot-receiver", "const stored = round === null ? await state.install(meta) : await state.replace(meta, round);\n    if (!logStays) await log.reset({ index: meta.index, term: meta.term });", "if (!logStays) await log.reset({ index: meta.index, term: meta.term });\n    const stored = round === null ? await state.install(meta) : await state.replace(meta, round);"),
  one("log-cut-without-checkpoint", "the log is cut behind a state that a crash takes back (rule R7, etcd#14685)", "replica/compaction", "const { applied } = await this.#state.checkpoint();", "const { applied } = raft.status();"),
  // States that are compared
  one("compared-as-it-changes", "replicas hash what they have at the moment, not one index (rule C1)", "state-machine/state-scan", "if (this.#end === null) this.#view.replaced(writes);", "if (this.#end !== null) this.#view.replaced(writes);"),
  one("diverged-and-serving", "a replica that is known to be wrong answers on (rule C1)", "replica/comparisons", 'if (kind !== "sound") throw', 'if (kind === "split") throw'),
  one("diverged-and-leading", "a leader that is known to be wrong leads on (rule C1)", "raft/state-loss", "if (heir !== null) this.#transfer.begin(heir);", "if (heir === null) this.#requests = [];"),
  // The log's disk
  one("log-not-fsynced", "nats-server#7564: acknowledged out of the page cache (pitfall 28)", "segment-log/segments", "file.write(contents.end, padded);\n    file.sync();", "file.write(contents.end, padded);"),
  one("log-crc-not-checked", "nats-server#7549: a flipped bit is served (pitfall 31)", "segment-log/frame", "if (crc32(bytes.subarray(at + CHECKED_FROM, end), (key + place) >>> 0) !== crc) return null;", "if (crc32 === undefined || place < 0) return null;"),
  // Reads
  one("read-before-own-commit", "etcd raft, committedEntryInCurrentTerm (pitfall 2)", "raft/read-index", "return log.termAt(log.commit) === term;", "return log.commit >= 0 && term >= 0;"),
  one("read-without-a-round", "a deposed leader answers reads (etcd#20418, pitfall 3)", "raft/read-index", "if (!node.quorum.reached((voter) => round.confirmed.has(voter))) return;", ""),
  one("any-heartbeat-confirms", "an old answer confirms a new read (etcd#21378, pitfall 3)", "raft/read-index", "if (round === null || message.context !== round.number) return;", "if (round === null) return;"),
  one("late-reader-joins-a-round", "a read confirmed by a round that began before it (pitfall 3)", "replica/barriers", "this.#confirmed.push({ index: state.index, barriers: round.barriers });", "this.#confirmed.push({ index: state.index, barriers: [...round.barriers, ...this.#next.splice(0)] });"),
  one("read-before-apply", "a read let through before its index is applied (thesis §6.4)", "replica/barriers", "if (group.index <= applied)", "if (group.index <= applied || group.index > 0)"),
  // Sessions, apply, ledger
  one("retry-runs-twice", "a retried command runs again (thesis §6.3, pitfall 21)", "state-machine/sessions", "if (known !== undefined) return known;", "if (known !== undefined && !known.ok) return known;"),
  {
    name: "session-expires-by-clock",
    bug: "sessions that expire by a wall clock are created again and run commands twice (pitfall 21)",
    edits: [
      { file: "core/state-machine/apply.ts", find: "#once({ session }: CommandHeader,", replace: "#once({ session, time }: CommandHeader," },
      {
        file: "core/state-machine/apply.ts",
        find: ": inSession(this.#tx, session, index, run);",
        replace: ": time % 7 === 0 ? run(TXN_RESPONSE_BYTES_MAX) : inSession(this.#tx, session, index, run);",
      },
    ],
  },
  one("below-the-window-runs-again", "a step whose answer was forgotten is run anew (rule Q1)", "state-machine/sessions", "if (step.seq < row.lowWater) return", "if (step.seq < 0) return"),
  one("answer-goes-to-another", "a result finds the wrong waiter (rqlite#536's kin)", "replica/proposals", "if (proposer !== this.proposer) return;", 'if (proposer === "") return;'),
  one("salt-from-a-clock", "apply reads what differs between replicas (openraft#1741, pitfall 22)", "state-machine/apply", 'const author = this.#author(header, () => header.salt);\n        const run =', 'const author = this.#author(header, () => crypto.getRandomValues(new Uint8Array(16)));\n        const run ='),
  one("batches-change-results", "results that depend on how entries are batched (rule R9)", "state-machine/key-rows", "version: (current?.version ?? 0) + 1,", "version: (current?.version ?? 0) + 1 + Number(tx.writes().length > 6),"),
  one("chain-forgets-the-past", "a hash that does not cover what came before (rule L2)", "ledger/chain", "CHAIN_INPUT.set(previous, 1);", "CHAIN_INPUT[1] = previous[0] ?? 0;"),
  one("events-told-twice", "etcd#18089: watch events doubled (pitfall 23)", "replica/applied-state", "if (before.revision !== position.revision || before.parentHolds !== position.parentHolds) this.#advance(batch);", "if (before.revision !== position.revision || before.parentHolds !== position.parentHolds) this.#advance(batch);\n    if (batch.records.length > 1) this.#advance({ records: batch.records.slice(1) });"),
  one("new-release-new-meaning", "a node that was upgraded applies by its own rules at once, before the others can (rule R9, pitfall 22)", "state-machine/apply", "versions[applyVersion - 1]?.(machine", "versions[versions.length - 1]?.(machine"),
  {
    name: "raised-without-all-members",
    bug: "a cluster's version goes up while a member cannot follow (etcd#13766's kin; rule R9)",
    edits: [
      { file: "core/replica/version-raise.ts", find: "membersOf(membership).every((", replace: "membersOf(membership).some((" },
      {
        file: "core/state-machine/apply-version.ts",
        find: "if (members.every((node) => memberSupports(tx, node, to)) && membersSupport(tx, to)) ledger.raise(to);",
        replace: "if (members.some((node) => memberSupports(tx, node, to)) || membersSupport(tx, to)) ledger.raise(to);",
      },
    ],
  },
  // Keys and transactions
  {
    name: "nested-compare-sees-own-writes",
    bug: "compares looked at when their turn comes, not before the first write (etcd's apply_txn; rule K2)",
    edits: [
      { file: "core/state-machine/txn.ts", find: 'operations.map((operation) => (operation.kind === "txn" ? choose(keys, operation) : operation));', replace: "operations;" },
      { file: "core/state-machine/txn.ts", find: 'step.kind === "chosen" ? run(keys, step, spend)', replace: 'step.kind === "txn" ? run(keys, choose(keys, step), spend)' },
    ],
  },
  one("half-a-transaction-stays", "etcd#18679: what ran before an operation that fails is not taken back (rule K1)", "state-machine/transaction", "for (const take of undo.reverse()) take();", ""),
  one("transaction-told-at-two-revisions", "the events of one transaction in two records: no watch is atomic any more (rule K1, pitfall 23)", "state-machine/key-writes", "return this.#events.length === 0 ? this.#ledger.position.revision : this.#ledger.append(author, this.#events, home);", "if (this.#events.length > 1) this.#ledger.append(author, this.#events.splice(0, 1), home);\n    return this.#events.length === 0 ? this.#ledger.position.revision : this.#ledger.append(author, this.#events, home);"),
  {
    name: "key-put-again-keeps-its-version",
    bug: "a cache of rows that outlives a delete: versions go on where they were (etcd's keyIndex, generations; rule K1)",
    edits: [
      { file: "core/state-machine/key-rows.ts", find: "    tx.remove(row);\n    return;", replace: "    buried.set(String(row), current);\n    tx.remove(row);\n    return;" },
      { file: "core/state-machine/key-rows.ts", find: "version: (current?.version ?? 0) + 1,", replace: "version: ((current ?? buried.get(String(row)))?.version ?? 0) + 1," },
      { file: "core/state-machine/key-rows.ts", find: "/** True if a row of a snapshot (S4)", replace: "const buried = new Map<string, KeyRow | undefined>();\n\n/** True if a row of a snapshot (S4)" },
    ],
  },
  one("count-after-limit", "etcd#6145: a range's count follows its limit (rule K3)", "state-machine/key-range", "count: this.#counting ? this.#count : null", "count: this.#counting ? told.length : null"),
  one("limit-before-sort", "the first rows by key, and those sorted (etcd's fetch limit with a sort; rule K3)", "state-machine/key-range", "if (at === this.rows.length && this.#full) {", "if (this.rows.length >= this.#rowsMax) {"),
  one("nested-duplicates-not-looked-for", "etcd#4376, #8102: a key put twice at one revision, by way of a nested transaction (rule K2)", "state-machine/txn-check", "for (const [name, key] of both) if (this.puts.has(name) || this.#deletes(key)) return key;", ""),
  one("absent-value-differs", "etcd#3920: what a compare says of no key (rule K2)", "state-machine/compares", 'compare.target !== "value" && agrees(-compare.number, compare.result);', 'compare.target === "value" ? compare.result === "notEqual" : agrees(-compare.number, compare.result);'),
  one("range-compare-needs-one", "a compare over a range holds if it holds for some key (etcd's applyCompares; rule K2)", "state-machine/compares", "if (!holdsFor(compare, row)) return false;", "if (holdsFor(compare, row)) return true;"),
  one("previous-row-is-the-new-one", "the previous row is read after the write (rule K1; as in a watch, pitfall 23)", "state-machine/txn", 'return { kind: "put", previous: previous && row !== undefined ? { key, ...row } : null };', 'const told = keys.get(key);\n      return { kind: "put", previous: previous && told !== undefined ? { key, ...told } : null };'),
  one("retry-is-answered-otherwise", "a repeated transaction answered from a memory that dropped its response (thesis §6.3; rule Q1)", "state-machine/remembered", "if (outcome.ok && outcome.response === null) bare.push(at, outcome.revision);", "if (outcome.ok) bare.push(at, outcome.revision);"),
  one("repeat-under-a-key-runs-again", "an Idempotency-Key that the next node does not know (rule Q1)", "state-machine/idempotency", "if (known !== undefined && known.until > logTime) {", "if (known !== undefined && known.until < logTime) {"),
  // Leases
  one("lease-due-by-a-wall-clock", "a deadline from the clock of whoever asked, which a step ends (rule T1, pitfall 24)", "state-machine/leases", "const due = logTime + row.ttlMs;", "const due = Math.max(logTime > 0 ? 1 : 0, author.time - 1_700_000_000_000) + row.ttlMs;"),
  one("lease-ends-ahead-of-its-time", "a lease ended early by the time that its end may take (etcd#15247, pitfall 24)", "state-machine/leases", "if (at > logTime || full) {", "if (at > logTime + 900 || full) {"),
  one("old-deadline-survives-keep-alive", "what was queued before a renewal ends the lease (etcd's LeaseQueue; rule K6)", "state-machine/lease-rows", "if (before !== undefined) tx.remove(leaseDueKey(before.due, lease));", ""),
  one("lease-ends-key-by-key", "the keys of one lease deleted at one revision each: a watcher sees half of them (etcd's Revoke; rule K6, pitfall 23)", "state-machine/leases", "if (homes.homeOf(key) === home) keys.remove(key);", "{\n      const single = new KeyWrites(tx, ledger);\n      single.remove(key);\n      single.commit(author, home);\n    }"),
  one("moved-key-ends-with-its-first-lease", "etcd#6102, #8185: a key that was put with another lease is still deleted with the first (rule K6)", "state-machine/lease-rows", "if (from !== null) {", "if (from !== null && to === null) {"),
  one("deleted-key-stays-attached", "datenlord/etcd-client#52: a key deleted and put again without a lease ends with the one it had (rule K6)", "state-machine/key-writes", 'moveKey(this.#tx, event.key, current?.lease ?? null, event.kind === "put" ? event.lease : null);', 'if (event.kind === "put") moveKey(this.#tx, event.key, current?.lease ?? null, event.lease);'),
  {
    name: "keep-alive-after-its-time-counts",
    bug: "a lease renewed at the entry at which it was due: two replicas that batch otherwise would differ (etcd's Renew of an expired lease; rule K6)",
    edits: [
      { file: "core/state-machine/apply.ts", find: "  machine.expire();\n  switch (entry.kind) {", replace: '  if (entry.kind !== "commands") machine.expire();\n  switch (entry.kind) {' },
      { file: "core/state-machine/apply.ts", find: "results.push({ proposer, request, result: machine.run(command, entry.index) });\n      }", replace: "results.push({ proposer, request, result: machine.run(command, entry.index) });\n      }\n      machine.expire();" },
    ],
  },
  one("second-lease-never-ends", "etcd#9006, #11369: keys outlive their lease, for nothing looks again after the first that was due (rule K6)", "state-machine/leases", "      next = at;\n", ""),
  one("idle-cluster-ends-nothing", "etcd#9935: a lease is due and nobody ends it (rule K6)", "replica/due-stamps", "nextDue === null || now", "nextDue !== null || now"),
  one("keep-value-drops-lease", "a put that keeps the value takes the lease off although it was to be kept (etcd's ignore_lease; rule K2)", "state-machine/txn", 'operation.lease === "keep" ? row?.lease : operation.lease;', 'operation.lease === "keep" ? (row === undefined ? undefined : null) : operation.lease;'),
  // Watches
  edge("watch-goes-on-one-too-late", "a watch that is taken up again leaves out a revision (pitfall 23: reliable, resumable)", "ledger-pages", "records = ahead.filter((record) => record.revision >= start);", "records = ahead.filter((record) => record.revision > start || record.revision === newest);"),
  edge("watch-tells-the-past", "etcd#19487, #15271: a watch from a revision is told what was before it (pitfall 23)", "ledger-pages", "records = ahead.filter((record) => record.revision >= start);", "records = [...ahead];"),
  edge("watch-falls-between-page-and-news", "what was committed while a page was read is taken for told (pitfall 23: reliable)", "ledger-pages", "if (first !== undefined && first.revision <= next) {", "if (first !== undefined) {"),
  edge("watch-skips-what-a-page-held-before-it", "a watch that is taken up while a page is sent to another is told the rest of the page (pitfall 23: reliable)", "watch-lanes", "if (watch.next !== at) continue;", "if (watch.next > at) continue;"),
  edge("watch-joins-the-others-too-early", "a watch that has not caught up is taken for one that has (etcd's unsynced watchers, #9281; pitfall 23)", "watch-lanes", "if (watch.next < this.#liveNext) continue;", "if (watch.next < this.#liveNext - 1) continue;"),
  edge("progress-ahead-of-events", "a watch is told how far it is before it is that far (pitfall 23: bookmarkable)", "watch-lanes", "return this.#lagging.size === 0 ?", "return this.#lagging.size >= 0 ?"),
  edge("filter-the-other-way-round", "puts are left out where deletes were to be (pitfall 23: filter right)", "watch-selection", '(kind === "put" ? noPut : noDelete)', '(kind === "put" ? noDelete : noPut)'),
  edge("previous-value-is-the-new-one", "a watch is told of a change as what was there before it (pitfall 23: previous value, is-create)", "previous-rows", "at: revision(at - 1) }", "at: revision(at) }"),
  // The past
  one("past-sees-what-came-next", "a range at a revision that holds the one after it (etcd's rangeRev)", "history/past-keys", "const version = last <= at ?", "const version = last <= at + 1 ?"),
  one("past-forgets-deletes", "a key deleted and put again has the version that it would have had (etcd's keyIndex, generations; rule K1)", "history/index-records", "const begins = before === undefined || before.value === null;", "const begins = before === undefined;"),
  // Sync between tiers, documents, clients
  one("import-runs-an-overlap-again", "nats-server#8069: duplicates after a reconnect (pitfall 38)", "state-machine/client-links", "if (at <= row.cursor) {", "if (at < row.cursor) {"),
  one("import-skips-a-gap", "PostgreSQL slots: a cursor past what was taken (pitfall 37)", "state-machine/ledger-imports", 'if (firstRevision(first) > cursor + 1) return refuse("GAP",', 'if (firstRevision(first) > cursor + 1_000) return refuse("GAP",'),
  one("import-cursor-ahead", "a cursor that moves without what it covers (pitfall 37)", "state-machine/ledger-imports", "const rest = command.items.filter((item) => lastRevision(item) > cursor);", "const rest = command.items.filter((item) => lastRevision(item) > cursor + (cursor % 16 === 15 ? 1 : 0));"),
  one("echo-goes-up-again", "two tiers ping-pong for ever (rule L5)", "ledger/selection", "if (origin?.cluster === parent || (link !== null && String(link) === parent)) return null;", "if (link !== null && String(link) === parent && revision % 5 !== 0) return null;"),
  one("mirror-misses-deletes", "a mirror that does not delete (rule L4, S4)", "state-machine/key-rows", 'if (event.kind === "delete" ? current === undefined : isAs(current, event)) return false;', 'if (event.kind === "delete" || isAs(current, event)) return false;'),
  one("mirror-keeps-what-was-deleted", "a delete that is in the ledger and not in the state (rule L4, S4)", "state-machine/key-rows", "setKey(tx, row, current, event, at);\n  return true;", 'if (event.kind !== "delete") setKey(tx, row, current, event, at);\n  return true;'),
  one("stub-for-a-body", "a body of the subscription travels as a skip (rule L2)", "ledger/selection", "return bringsDocument(subscription, event);", "return bringsDocument(subscription, event) && record.revision % 7 !== 0;"),
  one("first-come-stands", "quarantine by order of arrival: replicas differ for ever (rule D2, pitfall 45)", "state-machine/document-plan", "if (lowest !== undefined && hash < lowest) losers.add(lowest);\n    else if (lowest !== undefined) losers.add(hash);", "if (lowest !== undefined) losers.add(hash);"),
  one("pending-never-joins", "automerge-repo: what waits for a dependency waits for ever (rule D3, pitfall 47)", "state-machine/document-plan", "const waiting = before.pending === 0 || fresh.size === 0 ? [] : pendingChanges(tx, keys);", "const waiting = before.pending >= 0 || fresh.size === 0 ? [] : pendingChanges(tx, keys);"),
  one("hub-rung-too-early", "the parent's word taken for its majority's (rule S3)", "sync/uplink", "if (push !== null) this.#pushed = push.end;", "if (push !== null) {\n        this.#pushed = push.end;\n        this.#holds.heard(push.end.revision);\n      }"),
  one("outbox-row-dropped-when-sent", "an edit that was sent counts as safe (Expensify, pitfall 41)", "client/outbox", "return this.#rows.keys().next().value ?? this.#nextSeq;", "return this.#nextSeq;"),
  one("client-cursor-before-events", "a cursor stored ahead of what it covers (rule S1)", "sync/child-link", "this.#untaken.push(to);\n    this.#owner.events({ items, to, hash });", "this.#untaken.push(to);\n    if (to % 9 !== 0) this.#owner.events({ items, to, hash });\n    else this.taken(to);"),
  // Lives of sites and hubs
  lives("fork-behind-a-skip", "two copies of a site write one ledger in turns: a skip's hash was believed (rules L2, L3)", "state-machine/ledger-imports", "if (parted !== null) return refuse(parted.code, parted.details);", ""),
  lives("restored-site-goes-on-behind", "a site restored to before what its hub has goes on as if nothing were lost (CouchDB's checkpoints on a restored source; rule L3)", "ledger/lives", "return held.cursor <= parting.revision ?", "return held.cursor >= 0 ?"),
  lives("mirror-keeps-the-life-that-was-left", "what was taken of the life that was left stays in the mirror (rule L3)", "sync/differences", "return { revisions, listed, changes, kept:", "return { revisions, listed, changes: changes.slice(0, 0), kept:"),
  lives("rung-outlives-the-hub", "a site believes what a hub held before it was restored (rules L3, S3)", "state-machine/position", "if (known?.epoch === epoch) return;", "if (known !== undefined) return;"),
  lives("rung-of-another-hub", "a site that was moved and came back believes the hub between (rule S3)", "sync/parent-epochs", "const isParentAgain = source.position().parentEpoch !== welcome.epoch.nonce;", "const isParentAgain = source.position().parentEpoch === null;"),
  lives("snapshot-stands-for-what-follows", "a snapshot whose place is told too far on: the records behind it are taken for known (pitfall 37; rules L4, S4)", "state-machine/snapshot-imports", "raiseMark(tx, { cluster, epoch: epoch.nonce, revision: head.at }, link, at, null);", "raiseMark(tx, { cluster, epoch: epoch.nonce, revision: revision(head.at + 40) }, link, at, null);"),
  {
    name: "old-disk-is-taken-for-known",
    bug: "a child set back to an old disk ships other data under numbers that a restored parent has (CouchDB's update_seq reuse, pitfall 36; rule L3)",
    edits: [
      { file: "core/sync/child-admission.ts", find: "const record = lastOf(witnessesOf(marks), child, link?.cursor ?? 0);", replace: "const record = lastOf(witnessesOf(marks).slice(0, 0), child, link?.cursor ?? 0);" },
      { file: "core/state-machine/ledger-imports.ts", find: "if (other !== null) return refuse(other.code, other.details);", replace: "" },
    ],
    world: "hierarchy",
  },
  // Homes and queued commands
  lives("queued-command-retried-twice", "an addressed command outside of the session runs again when it is offered again (thesis §6.3; rules Q1, Q2)", "replica/proposals", 'case "addressed":\n    case "change":\n    case "idempotent":\n      return true;', 'case "change":\n    case "idempotent":\n      return true;\n    case "addressed":'),
  lives("command-runs-in-each-import", "a command runs also where its record was taken before (MQTT's QoS 1 taken for 2; rule Q2)", "state-machine/ledger-imports", 'if (isPast(tx, origin, record.snapshot)) return "known";', 'if (isPast(tx, origin, record.snapshot)) {\n    const [event] = record.events;\n    if (event?.kind === "command" && record.origin === null) followUp(importing, { cluster: command.cluster, side: command.side, epoch: command.epoch.nonce, revision: record.revision }, record, [0]);\n    return "known";\n  }'),
  lives("result-goes-to-nobody", "what a command came to is not told (rule Q2)", "state-machine/queued-commands", "if (row.relay === null) addSettled(this.#tx, at, row, outcome);\n    else this.#tell(row.relay, outcome);", "if (row.relay === null) addSettled(this.#tx, at, row, outcome);"),
  lives("queued-before-the-home-was-away", "what a site queued, and ran when its home came to it, runs at the hub, too (rules Q2, Q3)", "state-machine/queued-commands", "seenOfOurs(this.#tx, this.#ledger.position, seen) < since", "this.#ledger.position.revision < since"),
  lives("home-opens-before-all-released", "two primaries: the new home writes while an old one does (rule Q3)", "state-machine/handover", "if (before.waiting.length > 0 && after?.waiting.length === 0)", "if (before.waiting.length > 0 && after !== null && after.waiting.length <= 1)"),
  lives("released-and-written-on", "an old home goes on writing what it released (a fenced primary that was not; rule Q3)", "state-machine/homes", 'if (row.owner !== null) return { kind: "parent" };', 'if (row.owner !== null && row.open) return { kind: "parent" };\n  if (row.owner !== null) return AT_SITE;'),
  lives("home-moves-without-its-keys", "what a child had is not taken along (rule Q3)", "state-machine/handover", 'missing, isOurs ? "hub" : "site");', 'missing.slice(1), isOurs ? "hub" : "site");'),
  lives("home-comes-back-empty", "what the hub had is not taken over by the sites (rule Q3)", "state-machine/handover", "this.#adopt(own, before);\n", "this.#adopt(own, null);\n"),
  lives("private-key-travels", "what is private goes up as it is (rules L2, Q3)", "ledger/selection", 'if (home === "private") return { kind: "stub",', 'if (home === "private" && at % 5 !== 0) return { kind: "stub",'),
  lives("private-leaf-of-something-else", "a stub's leaf is not the record's (rule L2)", "ledger/selection", 'leaf: leafHash(sha256, bytes), reason: "private" }', 'leaf: leafHash(sha256, bytes.subarray(1)), reason: "private" }'),
  lives("homes-crossed", "a transaction over two homes runs at one of them (rule Q3)", "state-machine/homes", 'if (place !== null && !same(place, next)) return { kind: "crossing" };', ""),
  lives("shorter-prefix-counts", "a prefix within another has the home of that one (rule Q3)", "state-machine/homes", "for (const row of this.rows) if (startsWith(key, row.prefix)) found = row;", "for (const row of this.rows) if (startsWith(key, row.prefix)) found ??= row;"),
  lives("command-waits-for-a-parent-that-was-left", "a site that moved goes on waiting for the hub before (rule Q2)", "state-machine/apply", "    this.#commands.forgetParent(author);\n", ""),
  lives("parent-that-was-left-is-a-child", "a handover waits for the hub before to release what it never had (rule Q3)", "state-machine/link-rows", "parent?.cluster === name || parent?.former.includes(name) === true;", "parent?.cluster === name;"),
  lives("homes-of-a-hub-that-was-restored", "a site keeps a home that its hub lost when it was restored (rules L3, Q3)", "sync/differences", 'homesMoved ||= record.events.some((event) => event.kind === "home" && event.step.kind !== "release");', ""),
];
