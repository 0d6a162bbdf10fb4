/**
 * A tab's way to the site, whose code is loaded beside the store: no document waits for it. What is said to it before it is
 * there counts from when it is.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { GatewayState } from "@openclaw/core/sync/rotation.ts";
import type { Gateway } from "../connection/gateways.ts";
import type { TabSite } from "../worker/worker-service.ts";

/** A site that lets go of everything at the end. */
export interface ClosableSite extends TabSite {
  close(): Promise<void>;
}

export class LoadedTabSite implements TabSite {
  readonly #load: (gateways: readonly Gateway[]) => Promise<ClosableSite>;
  #gateways: readonly Gateway[];
  #loading: Promise<ClosableSite> | null = null;
  #site: ClosableSite | null = null;
  #drops = 0;
  #frozen = false;
  #closed = false;

  /** @param load called at once, and again at the next try if it failed */
  constructor(gateways: readonly Gateway[], load: (gateways: readonly Gateway[]) => Promise<ClosableSite>) {
    this.#gateways = gateways;
    this.#load = load;
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
    // What could not be loaded holds nothing.
    const site = await this.#loading?.catch(() => null);
    await site?.close();
  }

  #loaded(): Promise<ClosableSite> {
    if (this.#closed) return Promise.reject(new OpenClawError("STOPPED"));
    this.#loading ??= this.#begin();
    return this.#loading;
  }

  /** @throws OpenClawError UNAVAILABLE */
  async #begin(): Promise<ClosableSite> {
    try {
      const site = await this.#load(this.#gateways);
      this.#site = site;
      site.setGateways(this.#gateways);
      if (this.#frozen) site.freeze();
      return site;
    } catch (error) {
      this.#loading = null;
      throw new OpenClawError("UNAVAILABLE", "the code for a connection could not be loaded", { cause: error });
    }
  }
}
