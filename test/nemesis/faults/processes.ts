/** Faults of processes: they die, they freeze, they are restarted in good order. */

import { anyOf } from "../choice.ts";
import type { Member } from "../cluster.ts";
import { type Fault, leaderOf, type Stage } from "./fault.ts";

const names = (members: readonly Member[]): string => members.map(({ name }) => name).join(", ");

/** As a power cut of the machine would, but for what the kernel still holds. */
async function kill(stage: Stage, members: readonly Member[]): Promise<void> {
  stage.report(`kill -9 of ${names(members)}`);
  await Promise.all(members.map(({ process }) => process.kill()));
  await stage.hold();
  for (const { process } of members) process.start();
  await Promise.all(members.map((member) => stage.ready(member)));
}

async function freeze(stage: Stage, members: readonly Member[]): Promise<void> {
  stage.report(`freezing ${names(members)} (SIGSTOP)`);
  const pids = members.flatMap(({ process }) => process.pid ?? []);
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  await stage.hold();
  for (const pid of pids) process.kill(pid, "SIGCONT");
  await Promise.all(members.map((member) => stage.ready(member)));
}

async function restart(stage: Stage, members: readonly Member[]): Promise<void> {
  stage.report(`restarting ${names(members)} (SIGTERM)`);
  await Promise.all(members.map(({ process }) => process.stop()));
  for (const { process } of members) process.start();
  await Promise.all(members.map((member) => stage.ready(member)));
}

const nodeFault = (name: string, inflict: Fault["inflict"]): Fault => ({ name, lane: "nodes", inflict });
const one = (stage: Stage): readonly Member[] => [anyOf(stage.random, stage.cluster.members)];

export const processFaults: readonly Fault[] = [
  nodeFault("kill", (stage) => kill(stage, one(stage))),
  nodeFault("kill-leader", async (stage) => kill(stage, [await leaderOf(stage)])),
  nodeFault("kill-all", (stage) => kill(stage, stage.cluster.members)),
  nodeFault("freeze", (stage) => freeze(stage, one(stage))),
  nodeFault("freeze-leader", async (stage) => freeze(stage, [await leaderOf(stage)])),
  nodeFault("restart", (stage) => restart(stage, one(stage))),
  nodeFault("restart-leader", async (stage) => restart(stage, [await leaderOf(stage)])),
];
