/** The links of one session: drawn by it, and claimed while it may send by them. */
import { toHex } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import { isLinkId, type LinkId, seq } from "../ids.ts";
import type { Random } from "../ports.ts";
import type { Claim } from "./drain.ts";
import { Outbox } from "./outbox.ts";
import type { SiteLife } from "./store.ts";

/** D4: a session's stream and actor, drawn afresh and never used again. */
export function drawLink(random: Random): LinkId {
  const link = toHex(random.bytes(16));
  if (!isLinkId(link)) throw new OpenClawError("INTERNAL", "a link is 32 hex digits");
  return link;
}

export class OwnLinks {
  readonly #claim: Claim;
  readonly #random: Random;
  readonly #names = new Set<LinkId>();
  readonly #releases = new Map<LinkId, () => void>();

  constructor(claim: Claim, random: Random) {
    this.#claim = claim;
    this.#random = random;
  }

  /** Another one takes the place of one that the site forgot, or that is of another site. */
  get names(): ReadonlySet<LinkId> {
    return this.#names;
  }

  add(link: LinkId, release: (() => void) | null): void {
    this.#names.add(link);
    if (release !== null) this.#releases.set(link, release);
  }

  /** An outbox under another name than `current`, which is this session's until it is stored that this one is. */
  async fresh(current: Outbox, site: SiteLife | null): Promise<Outbox> {
    let link = [...this.#names].at(-1);
    // Else storing that failed for the last one: nothing goes by its name, which is claimed, and it is tried again.
    if (link === undefined || link === current.link) {
      link = drawLink(this.#random);
      this.add(link, await this.#claim(link));
    }
    const outbox = new Outbox(link, seq(1));
    if (site !== null) outbox.meet(site);
    return outbox;
  }

  /** What is left of it is anybody's to send. */
  letGo(link: LinkId): void {
    this.#names.delete(link);
    this.#releases.get(link)?.();
    this.#releases.delete(link);
  }

  stop(): void {
    for (const release of this.#releases.values()) release();
    this.#releases.clear();
  }
}
