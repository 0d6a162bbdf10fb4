/** Faults of the network between nodes: it works, and badly. */
import type { Namespaces } from "../namespaces.ts";
import { SlowRelay } from "../slow-relay.ts";
import type { Fault, Stage } from "./fault.ts";

/** Part of the packets that a bad link loses. */
const LOST = 0.15;

/** Ms that a link takes, from and to, drawn for each piece of what is sent. */
const SLOW_MS = { from: 50, to: 250 } as const;

const places = ({ cluster }: Stage): readonly number[] => cluster.members.map(({ place }) => place);

export const linkNames: readonly string[] = ["slow-links", "narrow-links", "lossy-links"];

export function linkFaults(namespaces: Namespaces): readonly Fault[] {
  const fault = (name: string, what: string, spoil: (stage: Stage) => Promise<void>): Fault => ({
    name,
    lane: "network",
    async inflict(stage) {
      stage.report(what);
      try {
        await spoil(stage);
        await stage.hold();
      } finally {
        await namespaces.heal();
      }
    },
  });
  return [
    slowLinks(namespaces),
    fault("narrow-links", "all links are narrow", async (stage) => {
      for (const place of places(stage)) await namespaces.narrow(place);
    }),
    fault("lossy-links", `all links lose ${100 * LOST} % of the packets`, async (stage) => {
      for (const from of places(stage))
        for (const to of places(stage)) if (from !== to) await namespaces.drop(from, to, LOST);
    }),
  ];
}

/** As a satellite or a bad cell gives it: everything between nodes arrives late. */
const slowLinks = (namespaces: Namespaces): Fault => ({
  name: "slow-links",
  lane: "network",
  async inflict(stage) {
    const { members } = stage.cluster;
    stage.report(`all links are slow (${SLOW_MS.from} to ${SLOW_MS.to} ms)`);
    const delayMs = (): number => SLOW_MS.from + stage.random.unit() * (SLOW_MS.to - SLOW_MS.from);
    const targets = members.map(({ host, ports }) => ({ host, port: ports.p2p }));
    const relay = await SlowRelay.open(namespaces.clients, targets, delayMs);
    try {
      for (const from of members)
        for (const [at, to] of members.entries())
          if (from !== to) await namespaces.divert(from.place, to.place, to.ports.p2p, relay.ports[at] ?? 0);
      await stage.hold();
    } finally {
      await namespaces.heal();
      await relay.close();
    }
    if (relay.carried === 0) stage.failed("nothing went over the slow links");
  },
});
