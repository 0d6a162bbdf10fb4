/** What this client has written and read so far, as a position: reads that carry it see nothing older, at any gateway. */
import { OpenClawError } from "../errors.ts";
import { laterPosition, type PositionToken, parsePosition } from "../ledger/position-token.ts";
import type { ReadMode } from "../replica/read-mode.ts";

export interface ReadOptions {
  /**
   * `local` (the default) reads this device's mirror, with this page's own puts on top, where a subscribed prefix covers
   * the key, and otherwise what the gateway has applied. `at-least` is the same, but waits for `minRevision`, and is the
   * default where that is given. `linearizable` asks the site.
   */
  readonly consistency?: "local" | "at-least" | "linearizable";
  /** The `position` of an earlier answer, of this client or another: nothing older is read. */
  readonly minRevision?: string;
  /** Another cluster's name, to read the mirror of its keys; null, the default, for the site's own. */
  readonly origin?: string | null;
}

export class ReadSession {
  readonly #readYourWrites: boolean;
  #position: PositionToken | null = null;

  constructor(readYourWrites: boolean) {
    this.#readYourWrites = readYourWrites;
  }

  /** The highest position that was written or read; null before the first. */
  get position(): PositionToken | null {
    return this.#position;
  }

  saw(position: PositionToken): void {
    this.#position = laterPosition(this.#position, position);
  }

  /** The site is in another epoch: what was seen of the one before may be gone (L3). */
  forget(): void {
    this.#position = null;
  }

  /** @throws OpenClawError BAD_REQUEST */
  mode({ consistency, minRevision }: ReadOptions): ReadMode {
    if (minRevision !== undefined) {
      if (consistency === "linearizable" || consistency === "local")
        throw new OpenClawError("BAD_REQUEST", `a ${consistency} read takes no minRevision`);
      return { kind: "atLeast", position: parsePosition(minRevision) };
    }
    switch (consistency) {
      case "linearizable":
        return { kind: "linearizable" };
      case "at-least":
        throw new OpenClawError("BAD_REQUEST", "an at-least read takes a minRevision");
      case "local":
        return { kind: "local" };
      default:
        return this.#readYourWrites && this.#position !== null
          ? { kind: "atLeast", position: this.#position }
          : { kind: "local" };
    }
  }
}
