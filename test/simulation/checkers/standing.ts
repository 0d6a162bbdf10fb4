/** D2, D3: where each change of a document stands follows from the set of known changes alone, however they arrived. */

export interface KnownChange {
  readonly hash: string;
  readonly actor: string;
  readonly seq: number;
  readonly deps: readonly string[];
}

/** A document as one holder has it. */
export interface StandingCopy {
  readonly holder: string;
  readonly accepted: readonly string[];
  readonly quarantined: readonly string[];
  readonly pending: number;
}

/** @param known every change that a holder was ever given, by its hash */
export function standingFaults(
  document: string,
  known: ReadonlyMap<string, KnownChange>,
  copies: readonly StandingCopy[],
): readonly string[] {
  const quarantined = quarantinedOf(known);
  const accepted = acceptedOf(known, quarantined);
  const pending = known.size - quarantined.size - accepted.size;
  return copies.flatMap((copy) => [
    ...setFaults(`${copy.holder} accepts of ${document}`, copy.accepted, accepted),
    ...setFaults(`${copy.holder} quarantines of ${document}`, copy.quarantined, quarantined),
    ...(copy.pending === pending
      ? []
      : [`${copy.holder} holds ${copy.pending} pending of ${document}, not ${pending}`]),
  ]);
}

/** Of one (actor, sequence) the lower hash stands; the others do not, and nothing that depends on them. */
function quarantinedOf(known: ReadonlyMap<string, KnownChange>): ReadonlySet<string> {
  const lowest = new Map<string, string>();
  for (const { hash, actor, seq } of known.values()) {
    const name = `${actor} ${seq}`;
    const other = lowest.get(name);
    if (other === undefined || hash < other) lowest.set(name, hash);
  }
  const lost = (change: KnownChange): boolean => lowest.get(`${change.actor} ${change.seq}`) !== change.hash;
  return closure(known, (change, quarantined) => lost(change) || change.deps.some((dep) => quarantined.has(dep)));
}

function acceptedOf(known: ReadonlyMap<string, KnownChange>, quarantined: ReadonlySet<string>): ReadonlySet<string> {
  return closure(known, ({ hash, deps }, accepted) => !quarantined.has(hash) && deps.every((dep) => accepted.has(dep)));
}

/** The smallest set that holds everything which, given the set, belongs to it. */
function closure(
  known: ReadonlyMap<string, KnownChange>,
  belongs: (change: KnownChange, set: ReadonlySet<string>) => boolean,
): ReadonlySet<string> {
  const set = new Set<string>();
  for (let before = -1; before < set.size; ) {
    before = set.size;
    for (const change of known.values()) if (!set.has(change.hash) && belongs(change, set)) set.add(change.hash);
  }
  return set;
}

function setFaults(what: string, found: readonly string[], expected: ReadonlySet<string>): readonly string[] {
  const own = new Set(found);
  const missing = [...expected].filter((hash) => !own.has(hash));
  const more = found.filter((hash) => !expected.has(hash));
  if (missing.length === 0 && more.length === 0 && own.size === found.length) return [];
  return [
    `what ${what}: ${missing.length} are missing, first ${missing[0]}, ${more.length} are wrong, first ${more[0]}, ` +
      `${found.length - own.size} are there twice`,
  ];
}
