/** What became of a write whose home is not the site: asked for until it is known (Q2), offline too. */
import { OpenClawError } from "../errors.ts";
import type { Revision } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { ReadMode } from "../replica/read-mode.ts";
import type { Outcome } from "../state-machine/command.ts";
import type { Asked } from "../sync/child-questions.ts";
import type { ChildQuery } from "../sync/message.ts";
import type { Rungs } from "./rungs.ts";

/** First and longest time between two questions, ms. */
const ASK_MS_FIRST = 100;
const ASK_MS_MAX = 5_000;

interface Asking {
  readonly clock: Clock;
  readonly rungs: Pick<Rungs, "life">;
  ask<Q extends ChildQuery>(query: Q, mode: ReadMode): Promise<Asked<Q>>;
}

/** @throws OpenClawError what its home refused it with; OUTCOME_UNKNOWN, FORBIDDEN, STOPPED */
export async function ranAtHome({ clock, rungs, ask }: Asking, at: Revision): Promise<Extract<Outcome, { ok: true }>> {
  const { life } = rungs;
  for (let delay = ASK_MS_FIRST; ; delay = Math.min(2 * delay, ASK_MS_MAX)) {
    try {
      const { answer } = await ask({ kind: "command", revision: at }, { kind: "linearizable" });
      // In another epoch of the site, another command may stand at that revision.
      if (answer.command === null || rungs.life !== life) throw new OpenClawError("OUTCOME_UNKNOWN");
      const { outcome } = answer.command;
      if (outcome?.ok === true) return outcome;
      if (outcome !== null) throw new OpenClawError(outcome.code, outcome.details);
    } catch (error) {
      // A site that cannot be reached keeps the command, and its result.
      if (!(error instanceof OpenClawError) || error.code !== "UNAVAILABLE") throw error;
    }
    await new Promise<void>((resolve) => clock.after(delay, resolve));
  }
}
