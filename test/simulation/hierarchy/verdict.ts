/** L2, L4, L5: what a hub has of a site, and a site of its hub, is what the other has, each revision once, whatever their lives. */

import { EMPTY_BYTES, equalBytes, toHex, utf8Text } from "@openclaw/core/bytes.ts";
import { isKeyEvent, type LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { type KeyValue, plainRange } from "@openclaw/core/state-machine/operation.ts";
import { covers } from "../checkers/mirror.ts";
import { mirrorStateFaults } from "../checkers/mirror-state.ts";
import type { Hierarchy } from "./hierarchy.ts";
import { CALLED, type Inhabitant, type Place } from "./place.ts";
import { replacedFor } from "./replaced.ts";
import { clusterOf } from "./restore.ts";

export async function hierarchyFaults(world: Hierarchy): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const { place, parent } of world.sites) {
    const [site, above] = [place.first, world.hub(parent)];
    const hub = above.first;
    if (site === null || hub === null) return [`nobody runs at ${place.name} or ${parent}`];
    faults.push(
      ...(await mirrored(place, site, above, hub, travelsUp)),
      ...(await mirrored(above, hub, place, site, travelsDown)),
    );
  }
  return faults;
}

/** What of a ledger is told to a hub, and what to a site: of keys that have homes that is home-verdict.ts. */
const travelsUp = ({ home }: LedgerRecord): boolean => home !== "private";
const travelsDown = ({ events }: LedgerRecord): boolean =>
  events.some((event) => isKeyEvent(event) && isCalled(event.key));

const isCalled = (key: Uint8Array): boolean => utf8Text(key)?.startsWith(CALLED) === true;

/** @param source who runs at `place` @param mirror who runs at `where` */
async function mirrored(
  place: Place,
  source: Inhabitant,
  where: Place,
  mirror: Inhabitant,
  travels: (record: LedgerRecord) => boolean,
): Promise<readonly string[]> {
  const isReplaced = replacedFor(
    {
      lives: where.inhabitants.map(({ life, replaced }) => ({ ledger: life.ledger, runs: replaced.of(place.name) })),
      ledger: mirror.life.ledger,
    },
    { lives: place.inhabitants.map(({ life }) => life.ledger), ledger: source.life.ledger },
  );
  const { faults, putBack } = lookAtLedger(place, source, mirror, travels, isReplaced);
  const link = mirror.links.get(place.name);
  const last = source.life.ledger[(link?.cursor ?? 0) - 1];
  if (link !== undefined && link.cursor > 0 && (last === undefined || !equalBytes(last.hash, link.hash)))
    faults.push(`${mirror.life.shown} has another hash of ${source.life.shown} at ${link.cursor}`);
  const side = { cluster: place.name, ledger: source.life.ledger.filter((stored) => travels(decoded(stored))) };
  for (const { state } of mirror.life.members) {
    const all = { kind: "range", origin: clusterOf(place.name), ...plainRange(EMPTY_BYTES, null, 10_000) } as const;
    const { rows } = await state.read(all);
    const isTold = ({ key }: KeyValue): boolean => travels === travelsUp || isCalled(key);
    faults.push(
      ...mirrorStateFaults(side, source.life.revision, rows.filter(isTold), putBack).map(
        (fault) => `at ${mirror.life.shown}: ${fault}`,
      ),
    );
  }
  return faults;
}

interface Looked {
  readonly faults: string[];
  /** Hex of keys that a decision put back to what they were where two lives part. */
  readonly putBack: Set<string>;
}

/**
 * Each revision that the mirror took is one that a life of the place wrote; of the life that runs there it has all, but for
 * those in whose stead a snapshot came: their content is looked at in the state.
 */
function lookAtLedger(
  place: Place,
  source: Inhabitant,
  mirror: Inhabitant,
  travels: (record: LedgerRecord) => boolean,
  isReplaced: (revision: number) => boolean,
): Looked {
  const faults: string[] = [];
  const putBack = new Set<string>();
  const lives = place.inhabitants.map(({ life }) => ({
    ...{ epoch: life.epoch.nonce, departure: life.epoch.departure },
    records: life.ledger.map(decoded),
  }));
  const taken = new Map<string, LedgerRecord>();
  for (const record of mirror.life.ledger.map(decoded)) {
    const { origin } = record;
    if (origin?.cluster !== place.name) continue;
    // What a decision changed has the name of the parting in the epoch that is followed: nobody wrote it there.
    if (
      lives.some(({ epoch, departure }) => epoch === origin.epoch && departure === origin.revision && departure > 0)
    ) {
      for (const event of record.events) if (isKeyEvent(event)) putBack.add(toHex(event.key));
      continue;
    }
    // What was subscribed to lately comes as it stands (S4): no record tells it, and the state is looked at below.
    if (record.snapshot) continue;
    const name = `${origin.epoch} ${origin.revision}`;
    const before = taken.get(name);
    if (before !== undefined)
      faults.push(`${mirror.life.shown} took ${origin.revision} at ${before.revision} and at ${record.revision}`);
    taken.set(name, record);
    const wrote = lives.some(({ records }) => {
      const original = records[origin.revision - 1];
      return original !== undefined && original.origin === null && covers(original, record);
    });
    if (!wrote)
      faults.push(`${mirror.life.shown}'s ${record.revision} is no revision ${origin.revision} of ${place.name}`);
  }
  // By content: what was put aside of another life has a revision of that number, too.
  const byRevision = Map.groupBy(taken.values(), ({ origin }) => origin?.revision);
  for (const record of source.life.ledger.map(decoded)) {
    const { revision: at, origin } = record;
    if (
      origin === null &&
      !isReplaced(at) &&
      travels(record) &&
      record.events.some(isKeyEvent) &&
      byRevision.get(at)?.some((one) => covers(record, one)) !== true
    )
      faults.push(`${mirror.life.shown} lacks revision ${at} of ${source.life.shown}`);
  }
  return { faults, putBack };
}

const decoded = ({ record }: { readonly record: Uint8Array }): LedgerRecord => decodeRecord(record);
