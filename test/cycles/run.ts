/** One run: a fleet, a device, and cycle after cycle of edits, an end in their midst, and a look at what is still there. */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Fleet } from "@openclaw/demo/fleet.ts";
import { buildTestPage } from "../browser/build-test-page.ts";
import { type StaticServer, serveFolder } from "../browser/static-server.ts";
import { SeededRandom } from "../simulation/seeded-random.ts";
import { Cycles } from "./cycles.ts";
import { Device } from "./device.ts";
import { Ledger } from "./ledger.ts";
import { type Badge, Oracle, type Verdict } from "./oracle.ts";

export interface Plan {
  /** For everything: nodes, profile, page. */
  readonly folder: string;
  readonly cycles: number;
  readonly seed: number;
  readonly report: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface Outcome extends Verdict {
  /** Cycles that were carried out. */
  readonly cycles: number;
  readonly seconds: number;
  /** Edits that were ever shown with each badge. */
  readonly edits: Readonly<Record<Badge, number>>;
  readonly faults: Readonly<Record<string, number>>;
  /** How often the device's database was found to be another one than before. */
  readonly databasesLost: number;
  /** Each of them: at which cycle, and what the page told. */
  readonly losses: readonly string[];
  /** What the pages threw, and what the end of the run waited for in vain. */
  readonly complaints: readonly string[];
}

const SITE = "california";

/** @throws Error when it could not be carried out */
export async function run(plan: Plan): Promise<Outcome> {
  const { folder, seed, report, signal } = plan;
  const page = path.join(folder, "page");
  await buildTestPage(fileURLToPath(new URL("page", import.meta.url)), page);
  const fleet = await Fleet.open({
    folder: path.join(folder, "fleet"),
    page,
    ports: "any",
    fresh: true,
    sites: [{ name: SITE, networks: [] }],
    hubNodes: 1,
    report,
  });
  let server: StaticServer | null = null;
  let device: Device | null = null;
  try {
    await fleet.start(signal);
    const site = fleet.site(SITE);
    // From a server that no fault reaches: how a page opens while its site is dead is the service worker's, not storage's.
    server = await serveFolder(page, { "/v1/gateways": await gatewaysOf(site.urls[0] ?? "") });
    const oracle = new Oracle();
    const files = { profile: path.join(folder, "profile"), log: path.join(folder, "browser.log") };
    device = new Device(files, { folder: page, url: server.url }, (sightings) => oracle.saw(sightings));
    const alive = (nodes: Fleet["nodes"]) => () => nodes.filter(({ pid }) => pid !== null).map(({ http }) => http);
    const [siteLedger, hubLedger] = [new Ledger(alive(site.nodes)), new Ledger(alive(fleet.hub.nodes))];
    const random = new SeededRandom(seed);
    const cycles = new Cycles({ device, site, siteLedger, hubLedger, oracle, random, report });
    const began = performance.now();
    await cycles.run(plan.cycles, signal);
    const found = await cycles.conclude(signal);
    return {
      ...found,
      cycles: cycles.count,
      seconds: Math.round((performance.now() - began) / 1_000),
      edits: oracle.counts(),
      faults: cycles.faults,
      databasesLost: cycles.losses.length,
      losses: cycles.losses,
      complaints: [...device.complaints, ...cycles.complaints],
    };
  } finally {
    await device?.kill();
    await server?.stop();
    await fleet.stop();
  }
}

/** As the site tells of them, with their addresses for browsers. */
async function gatewaysOf(http: string): Promise<unknown> {
  for (;;) {
    const described = await (await fetch(`${http}/v1/gateways`)).json();
    // The other gateways' addresses come by gossip, a moment later.
    if (typeof described === "object" && described !== null && "gateways" in described) {
      if (Array.isArray(described.gateways) && described.gateways.length >= 3) return described;
    }
    await sleep(100);
  }
}
