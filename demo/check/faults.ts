/** What goes wrong while the quakes come in: a leader dies at one site, the uplink of another is cut. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster, Fleet } from "../fleet.ts";
import { eventually, hubCursor, setUplink, statusOf } from "./status.ts";

/** Ms that a killed node stays dead: longer than an election, so that the others must do without it. */
const DEAD_MS = 3_000;
/** Ms that an uplink stays cut, at least. */
const CUT_MS = 3_000;
const FIND_LEADER_MS = 15_000;
const CATCH_UP_MS = 60_000;

/** Kills a site's leader as a power cut would, and starts it again later. Resolves when it is ready again. */
export async function killLeader(site: Cluster, report: (text: string) => void): Promise<void> {
  const leader = await eventually(`${site.name} has a leader`, FIND_LEADER_MS, async () => {
    const answers = await Promise.allSettled(site.urls.map(statusOf));
    for (const answer of answers)
      if (answer.status === "fulfilled" && answer.value.leader !== null) return answer.value.leader;
    return null;
  });
  const node = site.node(leader);
  report(`killing ${leader}, the leader of ${site.name} (kill -9 ${node.pid})`);
  await node.kill();
  await sleep(DEAD_MS);
  node.start();
  await node.ready();
  report(`${leader} is back`);
}

export interface Cut {
  /** `performance.now()` when the last gateway's uplink was down. */
  readonly cutAtMs: number;
  /** How much the site wrote that the hub had not, when the uplink was joined again. */
  readonly revisionsBehind: number;
  /** From then on until the hub had it all. */
  readonly catchUpSeconds: number;
}

/** Cuts the site's uplink until `done`, and waits until the hub has caught up. */
export async function cutUplink(
  fleet: Fleet,
  site: Cluster,
  done: Promise<unknown>,
  report: (text: string) => void,
): Promise<Cut> {
  report(`cutting the uplink of ${site.name}`);
  await setUplink(site.urls, false);
  const cutAtMs = performance.now();
  // Whether the writes went well is for whoever made them to say.
  await Promise.all([Promise.allSettled([done]), sleep(CUT_MS)]);
  const { revision } = await statusOf(site.urls[0] ?? "");
  const hub = fleet.hub.urls[0] ?? "";
  const revisionsBehind = revision - (await hubCursor(hub, site.name));
  report(`joining the uplink of ${site.name} again; the hub is ${revisionsBehind} revisions behind`);
  const started = performance.now();
  await setUplink(site.urls, true);
  await eventually(`the hub catches up with ${site.name}`, CATCH_UP_MS, async () =>
    (await hubCursor(hub, site.name)) >= revision ? true : null,
  );
  return { cutAtMs, revisionsBehind, catchUpSeconds: (performance.now() - started) / 1_000 };
}
