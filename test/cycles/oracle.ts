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

/** A look at the device after its page was opened again. */
export interface Look {
  /** Edits that might not be lost any more before it began. */
  readonly safe: readonly string[];
  /** The device's database is another one than at the look before. */
  readonly databaseLost: boolean;
  /** Changes that the document lacks: of the safe ones, of those that are queued, and of what these depend on. */
  readonly missing: ReadonlySet<string>;
  /** Edits in an outbox of the device, with the changes that each depends on. Read before `missing`. */
  readonly queued: ReadonlyMap<string, readonly string[]>;
  /** In words: on the device, and when. */
  readonly where: string;
}

export interface Verdict {
  /** Shown on a rung, and not there: on this device after a kill, at the site or at the hub in the end. One line an edit. */
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
  /** Where on the device each was missed first. */
  readonly #lost = new Map<string, string>();
  /** Changes that went with a database, and that the document is to have again: from the outbox, or from the site. */
  #owed = new Set<string>();

  /** Edits. */
  get lost(): number {
    return this.#lost.size;
  }

  get owed(): number {
    return this.#owed.size;
  }

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

  /**
   * Counts as lost what the device lacks and must have. Returns what may still be at the site, seen there by no page: lost
   * unless the site's ledger comes to have it.
   */
  look(look: Look, site: LedgerEdits): readonly string[] {
    const { safe, databaseLost, missing, queued, where } = look;
    const wanted = new Set([...safe, ...queued.keys()].filter((id) => !this.#lost.has(id)));
    this.#owed = new Set([...missing].filter((id) => wanted.has(id) && (databaseLost || this.#owed.has(id))));
    const unaccounted: string[] = [];
    for (const id of safe) {
      if (this.#lost.has(id)) continue;
      const deps = queued.get(id);
      if (this.#put.has(id)) {
        if (deps === undefined && !site.times.has(id)) unaccounted.push(id);
      } else if (missing.has(id)) {
        if (!this.#owed.has(id)) this.lose([id], where);
        else if (this.#answered(id) || site.times.has(id)) continue;
        else if (deps === undefined) unaccounted.push(id);
        // It must be shown, unless it waits for what went with the database.
        else if (!deps.some((dep) => missing.has(dep))) this.lose([id], where);
      }
    }
    return unaccounted;
  }

  /** @param where they were missed; of several such places the first is told */
  lose(ids: readonly string[], where: string): void {
    for (const id of ids) {
      if (!this.#lost.has(id)) this.#lost.set(id, where);
      this.#owed.delete(id);
    }
  }

  /** Edits that may not be lost any more, and are not. */
  kept(): readonly string[] {
    return this.safe().filter((id) => !this.#lost.has(id));
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
    const lost = new Map([...this.#lost].map(([id, where]) => [id, [where]]));
    for (const id of this.safe())
      for (const [where, ledger] of ledgers)
        if (!ledger.times.has(id)) lost.set(id, [...(lost.get(id) ?? []), `at the ${where}`]);
    return {
      lost: [...lost].map(([id, places]) => `${id}: not ${places.join(", ")}`),
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

  /** Shown at the site or above. */
  #answered(id: string): boolean {
    const badges = this.#shown.get(id);
    return badges?.has("site") === true || badges?.has("hub") === true;
  }
}
