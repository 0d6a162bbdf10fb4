/** The leader is asked to hand over under load (thesis §3.10). */
import { z } from "zod";
import { anyOf } from "../choice.ts";
import type { Fault } from "./fault.ts";

/** Longer than a node itself waits (10 s). */
const ANSWER_MS = 15_000;

const refusal = z.object({ code: z.string(), message: z.string() });

export const moveLeader: Fault = {
  name: "move-leader",
  lane: "nodes",
  async inflict(stage) {
    const { cluster, random, report } = stage;
    const leader = await cluster.leader();
    if (leader === null) return stage.failed("there is no leader that could hand over");
    const heir = anyOf(
      random,
      cluster.members.filter((member) => member !== leader),
    );
    report(`${leader.name} is asked to hand over to ${heir.name}`);
    const refused = await handOver(leader.http, cluster.token, heir.name);
    if (refused !== null) stage.failed(`${leader.name} did not hand over to ${heir.name}: ${refused}`);
    else report(`${leader.name} has handed over to ${heir.name}`);
    await stage.hold();
  },
};

/** Null when it is done, else why not. */
async function handOver(http: string, token: string, node: string): Promise<string | null> {
  try {
    const response = await fetch(`${http}/v1/leader`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ node }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const body: unknown = await response.json();
    if (response.ok) return null;
    const { code, message } = refusal.parse(body);
    return `${code} ${message}`;
  } catch (error) {
    if (error instanceof z.ZodError) throw error;
    return String(error);
  }
}
