/**
 * Who belongs to the cluster changes under load: a dead box is replaced, a member is removed and comes again as another.
 *
 * Either way one disk is lost, and a majority must not be: so the other disks hold all that was acknowledged before one is
 * deleted, and nothing else happens to nodes or disks until the new one is a voter and holds all of it. A run that is over
 * meanwhile waits for that.
 */
import fs from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { anyOf, shuffled } from "../choice.ts";
import type { Member } from "../cluster.ts";
import { Operator } from "../operator.ts";
import type { SmallDisk } from "../small-disk.ts";
import { type Fault, leaderOf, type Stage } from "./fault.ts";

/** Ms for each step, the network's faults included: they last for seconds, with peace between them. */
const STEP_MS = 120_000;
const POLL_MS = 200;
/** `openclaw join` looks for members that long at a time. */
const JOIN_SECONDS = "30";

const invitation = z.object({ node: z.string(), token: z.string() });

/** A box dies and its disk with it; a new node takes its place in one change of the members (thesis §4.3). */
export const replaceMember = (smallDisk: SmallDisk | null): Fault => ({
  name: "replace-member",
  lane: "nodes",
  async inflict(stage) {
    const member = await leaderOrAny(stage);
    if (!(await untilWhole(stage, () => stage.over()))) return;
    stage.report(`kill -9 of ${member.name}, and its disk is gone`);
    await member.process.kill();
    await lose(member, smallDisk);
    await stage.hold();
    const invited = await operate(stage, others(stage, member), ["member", "replace", member.name, ...asking(stage)]);
    await comeAs(stage, member, invited, smallDisk);
  },
});

/** A member leaves in good order, its disk is emptied, and it comes back as a new one (its name is not used again). */
export const rejoinMember = (smallDisk: SmallDisk | null): Fault => ({
  name: "rejoin-member",
  lane: "nodes",
  async inflict(stage) {
    const member = await leaderOrAny(stage);
    if (!(await untilWhole(stage, () => stage.over()))) return;
    stage.report(`${member.name} is removed`);
    await operate(stage, shuffled(stage.random, stage.cluster.members), ["member", "remove", member.name]);
    // R10: a removed peer is told so, however the network is.
    if (!(await until(stage, () => knowsThatItIsOut(member), expiring())))
      stage.finding(`${member.name} was removed and does not know it after ${STEP_MS / 1_000} s`);
    await stage.hold();
    await member.process.stop();
    await lose(member, smallDisk);
    const invited = await operate(stage, others(stage, member), ["member", "invite", ...asking(stage)]);
    await comeAs(stage, member, invited, smallDisk);
  },
});

const asking = ({ cluster }: Stage): readonly string[] => ["--dir", cluster.directory, "--json"];

const others = ({ cluster, random }: Stage, member: Member): readonly Member[] =>
  shuffled(
    random,
    cluster.members.filter((other) => other !== member),
  );

function operate({ cluster, brokenOff }: Stage, asked: readonly Member[], args: readonly string[]): Promise<string> {
  const endpoints = asked.map(({ http }) => http);
  return new Operator(cluster, brokenOff).run({ args, within: [], endpoints }, STEP_MS);
}

async function leaderOrAny(stage: Stage): Promise<Member> {
  return stage.random.unit() < 0.5 ? await leaderOf(stage) : anyOf(stage.random, stage.cluster.members);
}

/** The whole folder: configuration, keys and data. */
async function lose(member: Member, smallDisk: SmallDisk | null): Promise<void> {
  if (smallDisk?.owner === member) await smallDisk.destroy();
  await fs.rm(member.folder, { recursive: true });
}

/** The invited node joins on the box of `old`, runs, and has caught up when it resolves. */
async function comeAs(stage: Stage, old: Member, invited: string, smallDisk: SmallDisk | null): Promise<void> {
  const { cluster, brokenOff, report } = stage;
  const { node, token } = invitation.parse(JSON.parse(invited));
  const folder = path.join(cluster.directory, node);
  report(`${node} joins on the box of ${old.name}`);
  const ports = Object.entries(old.ports).flatMap(([name, port]) => [`--${name}-port`, String(port)]);
  const where = ["--dir", folder, "--host", old.host, ...ports];
  const how = ["--no-start", "--no-discover", "--timeout", JOIN_SECONDS];
  const errand = { args: ["join", token, ...where, ...how], within: old.within, endpoints: [] };
  await new Operator(cluster, brokenOff).run(errand, STEP_MS);
  const wasSmall = smallDisk?.owner === old;
  const member = await cluster.succeed(old, folder);
  if (wasSmall) await smallDisk.moveTo(member);
  member.process.start();
  if (await untilWhole(stage, expiring())) report(`${node} is a voter in the place of ${old.name}`);
  else if (!brokenOff.aborted) stage.finding(`${node} is no voter that has caught up after ${STEP_MS / 1_000} s`);
}

/**
 * True when every member votes, knows the same voters, and has applied what anybody had applied when it was asked for: then
 * every disk holds what was acknowledged until then.
 */
async function untilWhole(stage: Stage, given: () => boolean): Promise<boolean> {
  const { cluster } = stage;
  let goal: number | null = null;
  return until(
    stage,
    async () => {
      const answers = await Promise.all(cluster.members.map((member) => cluster.status(member)));
      const applied = answers.flatMap((status) => (status === null ? [] : [status.applied]));
      if (applied.length < answers.length) return false;
      goal ??= Math.max(...applied);
      if (!answers.every((status) => status?.recoveringTo === null && status.applied >= (goal ?? 0))) return false;
      const names = cluster.members.map(({ name }) => name).sort();
      const voters = await Promise.all(cluster.members.map((member) => cluster.voters(member)));
      return voters.every((some) => some?.join() === names.join());
    },
    given,
  );
}

/** @param givenUp ends it; so does the end of a run that is broken off */
async function until({ brokenOff }: Stage, look: () => Promise<boolean>, givenUp: () => boolean): Promise<boolean> {
  while (!brokenOff.aborted) {
    if (await look()) return true;
    if (givenUp()) return false;
    await sleep(POLL_MS);
  }
  return false;
}

function expiring(): () => boolean {
  const deadline = performance.now() + STEP_MS;
  return () => performance.now() > deadline;
}

/** Its answer to /readyz: 410, never again. */
async function knowsThatItIsOut({ http }: Member): Promise<boolean> {
  try {
    const response = await fetch(`${http}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.status === 410;
  } catch {
    return false; // busy
  }
}
