/**
 * A tab's way to the site, whose code is loaded beside the store: no document waits for it. What is said to it before it is
 * there counts from when it is.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { GatewayState } from "@openclaw/core/sync/rotation.ts";
import { besideLoader } from "../beside.ts";
import type { Gateway } from "../connection/gateways.ts";
import type { TabSite } from "../worker/worker-service.ts";

/** A site that lets go of everything at the end. */
export interface ClosableSite extends TabSite {
  close(): Promise<void>;
}

/** @param gateways those known by then */
export type OpenSite = (gateways: readonly Gateway[]) => ClosableSite;

export class LoadedTabSite implements TabSite {
  readonly #load: () => Promise<OpenSite>;
  #gateways: readonly Gateway[];
  #site: ClosableSite | null = null;
  #drops = 0;
  #frozen = false;
  #closed = false;

  /** @param load called at once, and again at the next try if it failed */
  constructor(gateways: readonly Gateway[], load: () => Promise<OpenSite>) {
    this.#gateways = gateways;
    this.#load = besideLoader("the code for a connection", load);
    this.#loaded().catch(() => undefined);
  }

  async connect(ended: OpenClawError | null): ReturnType<TabSite["connect"]> {
    const drops = this.#drops;
    const site = await this.#loaded();
    if (drops !== this.#drops) throw new OpenClawError("UNAVAILABLE", "this device is offline");
    return site.connect(ended);
  }

  setGateways(gateways: readonly Gateway[]): void {
    this.#gateways = gateways;
    this.#site?.setGateways(gateways);
  }

  states(): readonly GatewayState[] {
    return this.#site?.states() ?? [];
  }

  drop(): void {
    this.#drops++;
    this.#site?.drop();
  }

  freeze(): void {
    this.#frozen = true;
    this.#site?.freeze();
  }

  resume(): void {
    this.#frozen = false;
    this.#site?.resume();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#site?.close();
  }

  /** @throws OpenClawError UNAVAILABLE, STOPPED */
  async #loaded(): Promise<ClosableSite> {
    const open = await this.#load();
    // Nothing is opened that nobody would close.
    if (this.#closed) throw new OpenClawError("STOPPED");
    if (this.#site === null) {
      this.#site = open(this.#gateways);
      if (this.#frozen) this.#site.freeze();
    }
    return this.#site;
  }
}
