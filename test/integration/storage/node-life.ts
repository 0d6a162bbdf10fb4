/**
 * What a single-voter node does with its two stores, in a process to be killed: append, acknowledge, apply, now and then
 * checkpoint and cut the log. Says `ack N` when entry N is durable. At the start it does what a replica does: it resets a
 * log that ends before the state, and applies what the state has not seen; then it says `opened BASE APPLIED LAST`.
 *
 *   node node-life.ts FOLDER COUNT [KILL_AT]
 *
 * Right after it said `ack KILL_AT` it kills itself, whatever its workers are writing: nobody else could be sure to do it
 * in time.
 */
import { writeSync } from "node:fs";
import { isNodeId } from "@openclaw/core/ids.ts";
import { SegmentLogStore } from "@openclaw/edge-runtime/storage/log-store.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { hardState } from "../../contracts/log-store.ts";
import { putAt, STATE_CLUSTER, STATE_EPOCH, STATE_MEMBERSHIP } from "../../contracts/state-store.ts";

const [dataDir = "", count = "0", killAt = ""] = process.argv.slice(2);
const node = STATE_MEMBERSHIP.voters[0];
if (!isNodeId(node)) throw new Error("names");
const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};

const log = new SegmentLogStore({ dataDir, cluster: STATE_CLUSTER, node });
const state = new SqliteStateStore({
  dataDir,
  cluster: STATE_CLUSTER,
  node,
  epoch: STATE_EPOCH,
  membership: STATE_MEMBERSHIP,
});
const stored = await state.open();
const found = await log.open();
const last = found.entries.at(-1)?.index ?? found.base.index;
say(`opened ${found.base.index} ${stored.applied} ${last}`);
if (stored.applied > last) await log.reset({ index: stored.applied, term: stored.appliedTerm });
const unseen = found.entries.filter((entry) => entry.index > stored.applied);
if (unseen.length > 0) await state.apply(unseen);

for (let at = Math.max(last, stored.applied) + 1; at <= Number(count); at++) {
  const entry = putAt(at, `key/${at % 50}`, `value ${at}`);
  await log.append(hardState(1, node, at - 1), [entry]);
  say(`ack ${at}`);
  if (String(at) === killAt) process.kill(process.pid, "SIGKILL");
  const applied = state.apply([entry]);
  // Two are in flight now and then, as in a replica.
  if (at % 3 === 0) await applied;
  if (at % 40 === 0) {
    const durable = await state.checkpoint();
    await log.compact({ index: durable.applied, term: durable.appliedTerm });
  }
}
const { hash } = await state.read({ kind: "stateHash" });
say(`hash ${Buffer.from(hash).toString("hex")}`);
await log.close();
await state.close();
