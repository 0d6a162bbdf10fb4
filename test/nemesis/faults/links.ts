/** Faults of the network between nodes: it works, and badly. */
import type { Namespaces } from "../namespaces.ts";
import type { Fault, MissingFault, Stage } from "./fault.ts";

/** Part of the packets that a bad link loses. */
const LOST = 0.15;

const places = ({ cluster }: Stage): readonly number[] => cluster.members.map(({ place }) => place);

export const linkNames: readonly string[] = ["slow-links", "narrow-links", "lossy-links"];

export function linkFaults(namespaces: Namespaces): readonly (Fault | MissingFault)[] {
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
    namespaces.canDelay
      ? fault("slow-links", "all links are slow", async (stage) => {
          for (const place of places(stage)) await namespaces.delay(place);
        })
      : { name: "slow-links", missing: "this kernel has no sch_netem" },
    fault("narrow-links", "all links are narrow", async (stage) => {
      for (const place of places(stage)) await namespaces.narrow(place);
    }),
    fault("lossy-links", `all links lose ${100 * LOST} % of the packets`, async (stage) => {
      for (const from of places(stage))
        for (const to of places(stage)) if (from !== to) await namespaces.drop(from, to, LOST);
    }),
  ];
}
