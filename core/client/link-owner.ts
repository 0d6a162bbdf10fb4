/** What this session's own link tells, and whom: the owner of one connection. */
import type { NextTurn } from "../ports.ts";
import type { ChildLinkOwner, Welcome } from "../sync/child-link.ts";
import type { Documents } from "./documents.ts";
import type { Down } from "./down.ts";
import { Foresight } from "./foresight.ts";
import type { Inspection } from "./inspection.ts";
import type { Journal } from "./journal.ts";
import { requireSent } from "./outbox-row.ts";
import type { Presence } from "./presence.ts";
import type { Answered } from "./settlement.ts";
import type { Upstream } from "./upstream.ts";

export interface LinkOwnerHost {
  readonly journal: Journal;
  readonly down: Down;
  readonly upstream: Upstream;
  readonly presence: Presence;
  readonly documents: Documents;
  readonly inspection: Inspection;
  readonly nextTurn: NextTurn;
  /** @throws OpenClawError WRONG_CLUSTER, WRONG_EPOCH */
  welcomed(welcome: Welcome): void;
  /** Outcomes of rows up to `to` came. */
  settle(outcomes: readonly Answered[], to: number): void;
  /** The connection ends for that reason. */
  fail(error: unknown): void;
}

export function linkOwner(host: LinkOwnerHost): Omit<ChildLinkOwner, "closed"> {
  const { down, upstream, presence, documents, settle } = host;
  const { outbox } = host.journal;
  const foresight = new Foresight(host.nextTurn, host.inspection);
  return {
    source: {
      oldest: () => outbox.oldest(),
      next: async (...after) => ((await down.begun()) ? outbox.next(...after) : null),
    },
    welcomed: (welcome) => {
      try {
        host.welcomed(welcome);
        requireSent(welcome.cursor, outbox.nextSeq);
        settle(welcome.outcomes, welcome.cursor);
      } catch (error) {
        host.fail(error);
      }
    },
    pushed: ({ outcomes }, to) => settle(outcomes, to),
    events: (run) => down.events(run),
    snapshot: (step) => down.snapshot(step),
    holds: (...held) => upstream.holds(...held),
    presence: (told) => presence.told(told),
    provisional: (changes) => documents.provisional(changes, foresight),
  };
}
