/** An uplink for tests of the API: it says what it is told to say. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isClusterId, revision } from "@openclaw/core/ids.ts";
import type { UplinkDoor, UplinkStatus } from "@openclaw/edge-runtime/api/deps.ts";

const HUB = "hub";

export class StandInUplink implements UplinkDoor {
  allowed = 0;
  #says: UplinkStatus;

  constructor(says: Partial<UplinkStatus> = {}) {
    if (!isClusterId(HUB)) throw new Error(HUB);
    this.#says = {
      parent: HUB,
      enabled: true,
      connected: true,
      phase: "idle",
      rate: null,
      use: { day: 0, bytes: 0, allowed: 0 },
      limits: { bytesPerSecond: null, bytesPerDay: null },
      left: null,
      msToNextDay: 86_400_000,
      cursor: revision(0),
      failure: null,
      failureCode: null,
      ...says,
    };
  }

  says(more: Partial<UplinkStatus>): void {
    this.#says = { ...this.#says, ...more };
  }

  status(): UplinkStatus {
    return this.#says;
  }

  setEnabled(enabled: boolean): void {
    this.says({ enabled, connected: enabled });
  }

  planAdoption(): Promise<never> {
    return Promise.reject(new OpenClawError("NOT_FOUND", "no parent was refused"));
  }

  adopt(): Promise<never> {
    return this.planAdoption();
  }

  mirrorAgeMs(origin: string): number | null {
    return origin === HUB ? 41.2 : null;
  }

  async allow(bytes: number): Promise<void> {
    this.allowed = bytes;
  }
}
