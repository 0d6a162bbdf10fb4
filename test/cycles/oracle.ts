/**
 * What a device has shown, kept outside of its pages: each edit with every badge it ever wore. Pure: it knows nothing of
 * browsers and fleets.
 */

/** `made`: shown, and on no rung yet. The rungs are the client's own; `refused` is a failure of the site's. */
export type Badge = "made" | "device" | "site" | "hub" | "refused";

/** A badge that an edit was shown with. The id is a change's hash or a key: `changeId`, `putId`. */
export type Sighting = readonly [id: string, badge: Badge];

export const changeId = (hash: string): string => `change ${hash}`;
export const putId = (key: string): string => `put ${key}`;

/** What a ledger holds: how often each edit, and of a put also what. */
export interface LedgerEdits {
  readonly times: ReadonlyMap<string, number>;
  readonly values: ReadonlyMap<string, string>;
}

export interface Verdict {
  /** Shown on a rung, and not there: on this device after a kill, at the site or at the hub in the end. */
  readonly lost: readonly string[];
  /** In a ledger more than once. */
  readonly doubled: readonly string[];
  /** Shown with `hub` while the hub did not have it. */
  readonly falselyAtHub: readonly string[];
  /** Refused by the site, or stored with another value than was put. */
  readonly spoilt: readonly string[];
}

/** What was shown with one of these can no longer be lost by this device. */
const SAFE: readonly Badge[] = ["device", "site", "hub"];

export class Oracle {
  readonly #shown = new Map<string, Set<Badge>>();
  readonly #put = new Map<string, string>();
  readonly #waiters = new Map<Badge, (() => void)[]>();

  /** A key is about to be put, once. */
  puts(key: string, value: string): void {
    this.#put.set(putId(key), value);
  }

  saw(sightings: readonly Sighting[]): void {
    for (const [id, badge] of sightings) {
      const badges = this.#shown.get(id) ?? new Set();
      this.#shown.set(id, badges);
      if (badges.has(badge)) continue;
      badges.add(badge);
      for (const waiter of this.#waiters.get(badge) ?? []) waiter();
      this.#waiters.delete(badge);
    }
  }

  /** Resolves at the next edit that is first shown with this badge. */
  next(badge: Badge): Promise<void> {
    return new Promise((resolve) => this.#waiters.set(badge, [...(this.#waiters.get(badge) ?? []), resolve]));
  }

  /** Edits that were shown with one of these badges. */
  shown(...badges: readonly Badge[]): readonly string[] {
    return [...this.#shown].filter(([, own]) => badges.some((badge) => own.has(badge))).map(([id]) => id);
  }

  /** Edits that may not be lost any more. */
  safe(): readonly string[] {
    return this.shown(...SAFE);
  }

  counts(): Readonly<Record<Badge, number>> {
    const of = (badge: Badge): number => this.shown(badge).length;
    return { made: of("made"), device: of("device"), site: of("site"), hub: of("hub"), refused: of("refused") };
  }

  /** At the end, when everything had time to reach the hub. */
  judge(site: LedgerEdits, hub: LedgerEdits): Verdict {
    const ledgers = [
      ["site", site],
      ["hub", hub],
    ] as const;
    const each = (find: (ledger: LedgerEdits, where: string) => readonly string[]): readonly string[] =>
      ledgers.flatMap(([where, ledger]) => find(ledger, where));
    const safe = this.safe();
    return {
      lost: each((ledger, where) => safe.filter((id) => !ledger.times.has(id)).map((id) => `${id} at the ${where}`)),
      doubled: each((ledger, where) =>
        [...ledger.times].filter(([, times]) => times > 1).map(([id, times]) => `${id} ${times} times at the ${where}`),
      ),
      falselyAtHub: this.shown("hub").filter((id) => !hub.times.has(id)),
      spoilt: [
        ...this.shown("refused").map((id) => `${id} was refused`),
        ...each((ledger, where) =>
          [...ledger.values]
            .filter(([id, value]) => this.#put.get(id) !== value)
            .map(([id, value]) => `${id} at the ${where} is ${JSON.stringify(value)}`),
        ),
      ],
    };
  }
}
