/** Faults of the network between nodes: it works, and badly. */
import type { Member } from "../cluster.ts";
import type { Namespaces, Rules } from "../namespaces.ts";
import { SlowRelay } from "../slow-relay.ts";
import type { Fault, Stage } from "./fault.ts";

/** Part of the packets that a bad link loses. */
export const LOST = 0.15;

/** Ms that a link takes, from and to, drawn for each piece of what is sent. */
const SLOW_MS = { from: 50, to: 250 } as const;

const places = ({ cluster }: Stage): readonly number[] => cluster.members.map(({ place }) => place);

export const linkNames: readonly string[] = ["slow-links", "narrow-links", "lossy-links"];

export function linkFaults(namespaces: Namespaces): readonly Fault[] {
  const fault = (name: string, what: string, spoil: (stage: Stage, rules: Rules) => Promise<void>): Fault => ({
    name,
    lane: "network",
    async inflict(stage) {
      stage.report(what);
      const rules = namespaces.rules();
      try {
        await spoil(stage, rules);
        await stage.hold();
      } finally {
        await rules.heal();
      }
    },
  });
  return [
    slowLinks(namespaces),
    fault("narrow-links", "all links are narrow", async (stage, rules) => {
      for (const place of places(stage)) await rules.narrow(place);
    }),
    fault("lossy-links", `all links lose ${100 * LOST} % of the packets`, async (stage, rules) => {
      for (const from of places(stage))
        for (const to of places(stage)) if (from !== to) await rules.drop(from, to, LOST);
    }),
  ];
}

/** As a satellite or a bad cell gives it: everything between nodes arrives late. */
const slowLinks = (namespaces: Namespaces): Fault => ({
  name: "slow-links",
  lane: "network",
  async inflict(stage) {
    const { members } = stage.cluster;
    const carried = await slowly(namespaces, stage, "all links", members, members);
    if (carried === 0) stage.failed("nothing went over the slow links");
  },
});

/** While it holds, connections that `callers` open to `called` lead through a relay that takes its time. @returns bytes that it carried */
export async function slowly(
  namespaces: Namespaces,
  stage: Stage,
  what: string,
  callers: readonly Member[],
  called: readonly Member[],
): Promise<number> {
  stage.report(`${what} are slow (${SLOW_MS.from} to ${SLOW_MS.to} ms)`);
  const delayMs = (): number => SLOW_MS.from + stage.random.unit() * (SLOW_MS.to - SLOW_MS.from);
  const targets = called.map(({ host, ports }) => ({ host, port: ports.p2p }));
  const relay = await SlowRelay.open(namespaces.clients, targets, delayMs);
  const rules = namespaces.rules();
  try {
    for (const from of callers)
      for (const [at, to] of called.entries())
        if (from !== to) await rules.divert(from.place, to.place, to.ports.p2p, relay.ports[at] ?? 0);
    await stage.hold();
  } finally {
    await rules.heal();
    await relay.close();
  }
  return relay.carried;
}
