/**
 * Which site this device follows, and what it does when the one that answers is another, or in another epoch. A site refuses
 * what was taken in an epoch that is not its own before it says who it is: then it is asked once more, with nothing to
 * refuse, so that another site is never taken for another life of the one that is known.
 */
import type { OpenClawError } from "../errors.ts";
import { type ClusterId, isClusterId } from "../ids.ts";
import type { Hello, Welcome } from "../sync/child-link.ts";
import type { followEpoch } from "./another-epoch.ts";
import type { AnotherSiteHost, followSite } from "./another-site.ts";
import { callListener } from "./listener.ts";
import type { Roams } from "./options.ts";
import type { renewOutbox } from "./renewal.ts";
import type { SiteLife } from "./store.ts";

/** This device follows another site from here on; what it holds of documents is offered to that. */
export interface Roamed {
  readonly from: string;
  readonly to: string;
}

export interface MeetingHost extends AnotherSiteHost {
  readonly roaming: Roams;
  online(): Promise<{
    readonly followEpoch: typeof followEpoch;
    readonly followSite: typeof followSite;
    readonly renewOutbox: typeof renewOutbox;
  }>;
  /** The next connection begins at once. */
  restart(): void;
}

export class Meeting {
  readonly #host: MeetingHost;
  readonly #listeners = new Set<(roamed: Roamed) => void>();
  /** Who answered on the connection that there is, or on the last one. */
  #met: SiteLife | null = null;
  /** The next connection asks for nothing but who it is. */
  #isBlind = false;
  /** That was so at once, and not a second time since the site was met with all that is asked for. */
  #hasHurried = false;

  constructor(host: MeetingHost) {
    this.#host = host;
  }

  get cluster(): ClusterId | null {
    const name = this.#host.down.cluster;
    return isClusterId(name) ? name : null;
  }

  /** The returned function ends it. */
  onRoamed(listener: (roamed: Roamed) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async hello(): Promise<Pick<Hello, "link" | "down">> {
    const { down, journal } = this.#host;
    this.#met = null;
    const wanted = await down.hello();
    return { link: journal.outbox.link, down: this.#isBlind ? null : wanted };
  }

  /** @throws OpenClawError WRONG_CLUSTER, WRONG_EPOCH: what is done about it, is when the connection has ended */
  welcomed({ cluster, epoch }: Welcome): void {
    const { down, journal, restart } = this.#host;
    const met = { cluster, epoch: epoch.nonce };
    this.#met = met;
    down.welcomed(cluster, epoch);
    journal.outbox.meet(met);
    if (this.#isBlind) restart();
    else this.#hasHurried = false;
    this.#isBlind = false;
  }

  /** The connection ended. @throws OpenClawError CLIENT_STORAGE_FAILED: the next one ends for the same reason */
  async ended(reason: OpenClawError | null): Promise<void> {
    const { down, journal } = this.#host;
    const met = this.#met;
    const known = down.site;
    switch (reason?.code) {
      case "WRONG_EPOCH":
        if (met === null || met.epoch === known?.epoch) this.#ask();
        else await this.#followEpoch(met);
        return journal.outbox.lostSight();
      case "WRONG_CLUSTER":
        if (met !== null && this.#host.roaming === "documents") await this.#roam(met);
        return journal.outbox.lostSight();
      case "SESSION_EXPIRED":
        return (await this.#host.online()).renewOutbox(this.#host, known);
      default:
        return journal.outbox.lostSight();
    }
  }

  #ask(): void {
    this.#isBlind = true;
    if (!this.#hasHurried) this.#host.restart();
    this.#hasHurried = true;
  }

  async #followEpoch(met: SiteLife): Promise<void> {
    const { followEpoch } = await this.#host.online();
    await followEpoch(this.#host, met);
    this.#follow();
  }

  async #roam(met: SiteLife): Promise<void> {
    const from = this.#host.down.cluster ?? "";
    const { followSite } = await this.#host.online();
    await followSite(this.#host, met);
    this.#follow();
    for (const listener of [...this.#listeners]) callListener(listener, { from, to: met.cluster });
  }

  #follow(): void {
    this.#isBlind = false;
    this.#host.restart();
  }
}
