/**
 * Sends what page sessions that are over left behind (D4): each of their outboxes is a child stream of its own, pushed
 * over a connection of its own, by whoever gets the link's claim.
 */
import { InvariantViolation, OpenClawError } from "../errors.ts";
import { type LinkId, seq } from "../ids.ts";
import { RESULTS_MAX } from "../limits.ts";
import type { Clock } from "../ports.ts";
import { ChildLink } from "../sync/child-link.ts";
import type { ChildConnection } from "../sync/message.ts";
import { Outbox } from "./outbox.ts";
import type { Settlement } from "./settlement.ts";
import type { ClientStore } from "./store.ts";

/** Sees to it that one page at a time has a link; null when another has it, so that its page is alive. */
export type Claim = (link: LinkId) => Promise<(() => void) | null>;

export interface DrainOptions {
  readonly store: ClientStore;
  readonly settlement: Settlement;
  readonly clock: Clock;
  readonly claim: Claim;
  connect(): Promise<ChildConnection>;
  token(): Promise<string | null>;
}

/** Drains every outbox but those in `except`, one after the other. @throws OpenClawError what a connection ended with */
export async function drainOutboxes(options: DrainOptions, except: ReadonlySet<LinkId>): Promise<void> {
  for (const link of await options.store.outboxLinks()) {
    if (except.has(link)) continue;
    const release = await options.claim(link);
    if (release === null) continue;
    try {
      await drain(options, link);
    } finally {
      release();
    }
  }
}

async function drain(options: DrainOptions, link: LinkId): Promise<void> {
  const { store, settlement } = options;
  const [first] = await store.outbox(link, seq(1), 1);
  if (first === undefined) return;
  const outbox: Outbox = new Outbox(link, first.seq, async () => {
    outbox.restore(await store.outbox(link, outbox.nextSeq, RESULTS_MAX));
  });
  await outbox.next(0);
  const token = await options.token();
  const reason = await converse(options, outbox, await options.connect(), token);
  if (reason?.code === "SESSION_EXPIRED") await settlement.abandon(outbox, null);
  else if (reason !== null) throw reason;
}

/** Resolves when the outbox is empty, or with why the connection ended before. */
function converse(options: DrainOptions, outbox: Outbox, connection: ChildConnection, token: string | null): Promise<OpenClawError | null> {
  const { settlement, clock } = options;
  return new Promise((resolve, reject) => {
    const settle = (outcomes: Parameters<Settlement["settle"]>[1], to: number): void => {
      settlement
        .settle(outbox, outcomes, to)
        .then(() => outbox.next(outbox.oldest()))
        .then((next) => (next === null && outbox.size === 0 ? link.close() : link.wake()))
        .catch((error: unknown) => {
          if (error instanceof InvariantViolation) reject(error);
          else link.fail(error instanceof OpenClawError ? error : new OpenClawError("INTERNAL", String(error), { cause: error }));
        });
    };
    const link = new ChildLink({
      connection,
      clock,
      hello: { link: outbox.link, child: { kind: "client", token }, down: null },
      owner: {
        source: outbox,
        welcomed: ({ outcomes, cursor }) => settle(outcomes, cursor),
        pushed: ({ outcomes }, to) => settle(outcomes, to),
        events: () => undefined,
        holds: () => undefined,
        closed: resolve,
      },
    });
  });
}
