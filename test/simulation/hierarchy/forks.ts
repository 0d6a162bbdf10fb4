/**
 * What was done to the lives of clusters, against what was reported of it (L3): every life that parted from what its hub
 * holds is told so, under a code that says what it is; and none is that did not.
 */
import { equalBytes } from "@openclaw/core/bytes.ts";
import type { ErrorCode } from "@openclaw/core/errors.ts";
import { leafHash } from "@openclaw/core/ledger/chain.ts";
import { epochsOf, isOf } from "@openclaw/core/ledger/lineage.ts";
import type { Witness } from "@openclaw/core/ledger/witness.ts";
import { sha256 } from "../sha256.ts";
import type { Life } from "./life.ts";
import type { Inhabitant, LinkAt } from "./place.ts";

/** Codes that say that a life may not go on at a link. */
const CODES: readonly ErrorCode[] = ["FORK", "WRONG_EPOCH", "EPOCH_BEHIND"];

export const isForkCode = (code: ErrorCode): boolean => CODES.includes(code);

/** A life, at the life of a hub. */
interface Fork {
  readonly site: Inhabitant;
  readonly hub: Inhabitant;
  readonly codes: readonly ErrorCode[];
  /** False while it only lacks what the hub has: a copy may still write the very same. */
  parted: boolean;
  reported: boolean;
}

export class Forks {
  readonly #forks: Fork[] = [];
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  /** Looks at both ends, as nobody in the world can. @param name of the site */
  look(site: Inhabitant, hub: Inhabitant, name: string): void {
    const link = hub.links.get(name);
    const record = hub.records.get(name);
    const seen =
      (link === undefined ? null : standingOf(site, link)) ?? (record === undefined ? null : recordOf(site, record));
    const known = this.#of(site, hub);
    if (known === undefined && seen !== null) this.#forks.push({ site, hub, ...seen, reported: false });
    if (known === undefined) return;
    if (seen !== null) known.parted ||= seen.parted;
    else if (known.parted && !known.reported) {
      this.#violation(`${site.life.shown} parted from what ${hub.life.shown} holds, which took it without a word`);
      known.parted = false;
    }
  }

  /** A link of that life was ended with this. @param hub that is there now */
  told(site: Inhabitant, hub: Inhabitant | null, code: ErrorCode): void {
    // It may have been the hub before the one that answers now.
    const made = this.#forks.filter((fork) => fork.site === site);
    const told = made.filter(({ codes }) => codes.includes(code));
    const fork = told.find((one) => one.hub === hub) ?? told[0];
    if (fork !== undefined) fork.reported = true;
    else if (made.length === 0) this.#violation(`${site.life.shown} was told ${code}, and parted from nothing`);
    else this.#violation(`${site.life.shown} was told ${code}, not ${made.map(({ codes }) => codes).join(" or ")}`);
  }

  /** Of those that met; a hub or a site that was gone first was told nothing. */
  get counts(): { readonly injected: number; readonly reported: number } {
    const met = this.#forks.filter(
      ({ site, hub, parted, reported }) => reported || (parted && !site.life.over && !hub.life.over),
    );
    return { injected: met.length, reported: met.filter(({ reported }) => reported).length };
  }

  #of(site: Inhabitant, hub: Inhabitant): Fork | undefined {
    return this.#forks.find((fork) => fork.site === site && fork.hub === hub);
  }
}

/** Null where it may go on. */
function standingOf({ life }: Inhabitant, { cursor, hash, epoch }: LinkAt): Pick<Fork, "codes" | "parted"> | null {
  if (life.epoch.nonce !== epoch.nonce && life.epoch.counter < epoch.counter)
    return { codes: ["WRONG_EPOCH"], parted: true };
  if (cursor === 0) return null;
  const own = life.ledger[cursor - 1];
  if (own !== undefined && equalBytes(own.hash, hash)) return null;
  const same = life.epoch.nonce === epoch.nonce;
  return { codes: same ? ["FORK"] : ["EPOCH_BEHIND", "FORK"], parted: own !== undefined || !same };
}

/** The same by a record of the site's that a restored hub has, and no link tells of. */
function recordOf({ life }: Inhabitant, witness: Witness): Pick<Fork, "codes" | "parted"> | null {
  if (isOf(life.lineage, witness)) {
    const own = life.ledger[witness.revision - 1];
    return own !== undefined && isWrittenIn(life, witness) ? null : { codes: ["FORK"], parted: own !== undefined };
  }
  const isEarlier = epochsOf(life.lineage).some(({ nonce }) => nonce === witness.epoch);
  return { codes: isEarlier ? ["EPOCH_BEHIND", "FORK"] : ["WRONG_EPOCH", "FORK"], parted: true };
}

export function isWrittenIn({ lineage, ledger }: Life, witness: Witness): boolean {
  const own = ledger[witness.revision - 1];
  return isOf(lineage, witness) && own !== undefined && equalBytes(leafHash(sha256, own.record), witness.leaf);
}
