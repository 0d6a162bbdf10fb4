/** The links of one session: drawn by it, and claimed while it may send by them. */
import { toHex } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import { isLinkId, type LinkId } from "../ids.ts";
import type { Random } from "../ports.ts";
import type { Claim } from "./drain.ts";

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

  async draw(): Promise<LinkId> {
    const link = drawLink(this.#random);
    this.add(link, await this.#claim(link));
    return link;
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
