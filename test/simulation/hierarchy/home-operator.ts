/** Who moves the homes of prefixes (Q3), and says of a site that is not below a hub any more that nothing is to be waited for. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { Home } from "@openclaw/core/ledger/record.ts";
import type { HomeRow } from "@openclaw/core/state-machine/home.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import { sha256 } from "../sha256.ts";
import type { Trace } from "../trace.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import type { Hierarchy } from "./hierarchy.ts";
import type { Inhabitant } from "./place.ts";
import type { HierarchyStep } from "./plan.ts";

export interface HomeOperatorOptions {
  readonly world: Hierarchy;
  readonly clock: VirtualClock;
  readonly trace: Trace;
}

const PROPOSE_MS = 5_000;
const LOOK_MS = 1_000;
/** It is what it is to be already, or what a parent says. */
const REFUSED = new Set(["READ_ONLY", "OVERLOADED"]);

export class HomeOperator {
  /** Homes that an operator moved. */
  moved = 0;
  readonly #options: HomeOperatorOptions;
  #over = false;

  constructor(options: HomeOperatorOptions) {
    this.#options = options;
  }

  move({ place, prefix, home }: Extract<HierarchyStep, { kind: "home" }>): void {
    const { first } = this.#options.world.places.find(({ name }) => name === place) ?? {};
    if (first !== undefined && first !== null) this.#set(first, prefix, home, []);
  }

  /** From here on no handover waits for who has gone. */
  settle(): void {
    if (this.#over) return;
    const { world, clock } = this.#options;
    for (const hub of world.hubs) {
      for (const { prefix, home, owner, waiting } of hub.first === null ? [] : homesAt(hub.first)) {
        const gone = waiting.filter((child) =>
          world.sites.some(({ place, parent }) => place.name === child && parent !== hub.name),
        );
        if (hub.first !== null && home === "hub" && owner === null && gone.length > 0)
          this.#set(hub.first, utf8Text(prefix) ?? "", home, gone);
      }
    }
    clock.after(LOOK_MS, () => this.settle());
  }

  end(): void {
    this.#over = true;
  }

  #set({ life }: Inhabitant, prefix: string, home: Home, without: readonly ClusterId[]): void {
    const { world, trace } = this.#options;
    const member = life.cluster.leading();
    if (member === undefined) return;
    const options = { principal: "operator", timeoutMs: PROPOSE_MS };
    const before = member.replica.position().revision;
    member.replica.execute({ kind: "setHome", prefix: utf8(prefix), home, without }, options).then(
      (outcome) => {
        trace.tell(life.shown, `${prefix} is to be the ${home}'s: ${outcome.ok ? outcome.revision : outcome.code}`);
        if (outcome.ok && outcome.revision > before) this.moved++;
        if (!outcome.ok && !REFUSED.has(outcome.code))
          world.violation(`${life.shown} refuses ${home} for ${prefix}: ${outcome.code} ${outcome.details}`);
      },
      (error: unknown) => {
        if (!(error instanceof OpenClawError)) throw error;
      },
    );
  }
}

/** As the newest of its members has them. */
function homesAt({ life }: Inhabitant): readonly HomeRow[] {
  const ready = life.members.filter((member) => member.ready);
  const views = ready.map(({ state }) => state.view);
  const newest = views.sort((a, b) => revisionOf(b) - revisionOf(a))[0];
  return newest === undefined ? [] : query(newest, { kind: "homes" }, sha256).homes;
}

const revisionOf = (view: Parameters<typeof query>[0]): number => query(view, { kind: "position" }, sha256).revision;
