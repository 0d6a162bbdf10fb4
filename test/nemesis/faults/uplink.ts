/** Faults of the uplink: between the nodes of the site and those of the hub. What is between the nodes of a tier goes on. */
import { setTimeout as sleep } from "node:timers/promises";
import { anyOf } from "../choice.ts";
import type { Member, RealCluster } from "../cluster.ts";
import type { Namespaces, Rules } from "../namespaces.ts";
import type { Fault, MissingFault, Stage } from "./fault.ts";
import { LOST, slowly } from "./links.ts";

/** Ms that a flapping uplink is cut, and that it works, from and to. */
const FLAP_MS = { from: 100, to: 1_500 } as const;
const ANSWER_MS = 5_000;
const RETRY_MS = 200;

/** The stage's cluster is the site. */
type Spoil = (stage: Stage, rules: Rules, hub: RealCluster) => Promise<void>;

const places = (members: readonly Member[]): readonly number[] => members.map(({ place }) => place);

const spoilt: Readonly<Record<string, Spoil>> = {
  "uplink-cut": async (stage, rules, hub) => {
    stage.report("nothing passes between site and hub");
    await cut(rules, places(stage.cluster.members), places(hub.members));
    await stage.hold();
  },
  /** One tier hears the other and is not heard. */
  "uplink-one-way": async (stage, rules, hub) => {
    const up = stage.random.unit() < 0.5;
    stage.report(up ? "the hub does not hear the site" : "the site does not hear the hub");
    const [from, to] = up ? [stage.cluster.members, hub.members] : [hub.members, stage.cluster.members];
    await silence(rules, places(from), places(to));
    await stage.hold();
  },
  /** The site has to find another node of the hub, and keeps what it was told by the one it loses. */
  "uplink-one-hub-node": async (stage, rules, hub) => {
    const lost = (stage.random.unit() < 0.5 ? await hub.leader() : null) ?? anyOf(stage.random, hub.members);
    stage.report(`${lost.name} and the site do not reach each other`);
    await cut(rules, places(stage.cluster.members), [lost.place]);
    await stage.hold();
  },
  "uplink-flap": async (stage, rules, hub) => {
    let times = 0;
    let holds = true;
    const held = stage.hold().then(() => {
      holds = false;
    });
    while (holds && !stage.over()) {
      await cut(rules, places(stage.cluster.members), places(hub.members));
      await flap(stage);
      await rules.heal();
      stage.report(`the uplink was cut ${++times} times`);
      await flap(stage);
    }
    await held;
  },
  "uplink-lossy": async (stage, rules, hub) => {
    stage.report(`the uplink loses ${100 * LOST} % of the packets`);
    for (const from of places(stage.cluster.members))
      for (const to of places(hub.members)) {
        await rules.drop(from, to, LOST);
        await rules.drop(to, from, LOST);
      }
    await stage.hold();
  },
};

export function uplinkFaults(
  hub: RealCluster,
  namespaces: Namespaces | null,
  withoutNamespaces: string,
): readonly (Fault | MissingFault)[] {
  const names = [...Object.keys(spoilt), "uplink-slow"];
  if (namespaces === null) return [...names.map((name) => ({ name, missing: withoutNamespaces })), paused];
  const spoiling = Object.entries(spoilt).map(
    ([name, spoil]): Fault => ({
      name,
      lane: "network",
      async inflict(stage) {
        const rules = namespaces.rules();
        try {
          await spoil(stage, rules, hub);
        } finally {
          await rules.heal();
        }
      },
    }),
  );
  const slow: Fault = {
    name: "uplink-slow",
    lane: "network",
    async inflict(stage) {
      // It may carry nothing: a site without a leader dials nobody.
      await slowly(namespaces, stage, "the uplink's connections", stage.cluster.members, hub.members);
    },
  };
  return [...spoiling, slow, paused];
}

/** An operator pauses the uplink at every node of the site that answers, and resumes it. */
const paused: Fault = {
  name: "uplink-paused",
  lane: "network",
  async inflict(stage) {
    const { members, token } = stage.cluster;
    const pids = members.map(({ process }) => process.pid);
    const answered = await Promise.all(members.map(({ http }) => enable(http, token, false)));
    stage.report(`the uplink is paused at ${members.filter((_, i) => answered[i]).map(({ name }) => name)}`);
    await stage.hold();
    await Promise.all(members.map((member, i) => resume(stage, member, pids[i] ?? null)));
  },
};

/** Also of a node that is frozen now, and was paused before or will be by what waits for it. A new process is not paused. */
async function resume({ cluster, brokenOff }: Stage, { process, http }: Member, pid: number | null): Promise<void> {
  while (pid !== null && process.pid === pid && !brokenOff.aborted) {
    if (await enable(http, cluster.token, true)) return;
    await sleep(RETRY_MS);
  }
}

async function cut(rules: Rules, some: readonly number[], others: readonly number[]): Promise<void> {
  await silence(rules, some, others);
  await silence(rules, others, some);
}

async function silence(rules: Rules, from: readonly number[], to: readonly number[]): Promise<void> {
  for (const one of from) for (const other of to) await rules.drop(one, other, 1);
}

const flap = ({ random }: Stage): Promise<void> => sleep(FLAP_MS.from + random.unit() * (FLAP_MS.to - FLAP_MS.from));

/** @returns whether the node answered */
async function enable(http: string, token: string, enabled: boolean): Promise<boolean> {
  try {
    const response = await fetch(`${http}/v1/admin/uplink`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ enabled }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false; // dead, stopped or cut off
  }
}
