/** The stream of an outbox that another session left behind (D4), over a connection of its own. */
import { asOpenClawError, InvariantViolation, OpenClawError } from "../errors.ts";
import type { Seq } from "../ids.ts";
import type { Clock } from "../ports.ts";
import { ChildLink, type Welcome } from "../sync/child-link.ts";
import type { ChildConnection } from "../sync/message.ts";
import type { Outbox } from "./outbox.ts";
import { requireSent } from "./outbox-row.ts";
import type { Settlement } from "./settlement.ts";
import type { SiteLife } from "./store.ts";

export interface OutboxStreamOptions {
  readonly connection: ChildConnection;
  readonly token: string | null;
  /** The first number that its session did not use. */
  readonly nextSeq: Seq;
  readonly settlement: Settlement;
  readonly clock: Clock;
  /** The site that this session follows, in the epoch in which it knows it; null before it met one. */
  site(): SiteLife | null;
}

export interface OutboxStream {
  close(): void;
  /** Null when the outbox is empty, or the stream was closed here; else why the connection ended before. What was answered is stored by then. */
  readonly ended: Promise<OpenClawError | null>;
}

export function sendOutbox(outbox: Outbox, options: OutboxStreamOptions): OutboxStream {
  const { connection, token, nextSeq, settlement, clock, site } = options;
  const { promise: ended, resolve, reject } = Promise.withResolvers<OpenClawError | null>();
  let settling: Promise<unknown> = Promise.resolve();
  const settle = (outcomes: Parameters<Settlement["settle"]>[1], to: number): void => {
    const settled = settlement
      .settle(outbox, outcomes, to)
      .then(() => outbox.next(outbox.oldest()))
      .then((next) => (next === null && outbox.size === 0 ? link.close() : link.wake()))
      .catch((error: unknown) => {
        if (error instanceof InvariantViolation) reject(error);
        else link.fail(asOpenClawError(error));
      });
    settling = Promise.all([settling, settled]);
  };
  const link = new ChildLink({
    connection,
    clock,
    hello: { link: outbox.link, child: { kind: "client", token }, down: null },
    owner: {
      source: outbox,
      welcomed: (welcome) => {
        try {
          requireFollowed(welcome, site());
          requireSent(welcome.cursor, nextSeq);
          settle(welcome.outcomes, welcome.cursor);
        } catch (error) {
          link.fail(asOpenClawError(error));
        }
      },
      pushed: ({ outcomes }, to) => settle(outcomes, to),
      events: () => undefined,
      snapshot: () => undefined,
      holds: () => undefined,
      closed: (reason) => void settling.then(() => resolve(reason)),
    },
  });
  return { ended, close: () => link.close() };
}

/** What an outbox sent before may have been taken in the epoch that this session knows: it has to learn of another one first. */
function requireFollowed({ cluster, epoch }: Welcome, known: SiteLife | null): void {
  if (known === null) return;
  if (known.cluster !== cluster) throw new OpenClawError("WRONG_CLUSTER", `this device follows ${known.cluster}`);
  if (known.epoch !== epoch.nonce) throw new OpenClawError("WRONG_EPOCH", `this device knew epoch ${known.epoch}`);
}
