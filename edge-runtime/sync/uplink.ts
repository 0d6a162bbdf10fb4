/** This node's way to the parent cluster: who to dial, and what core's uplink says of it. */

import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { Clock, Random } from "@openclaw/core/ports.ts";
import { childConnection } from "@openclaw/core/sync/connection.ts";
import type { ChildConnection } from "@openclaw/core/sync/message.ts";
import { Uplink as CoreUplink } from "@openclaw/core/sync/uplink.ts";
import type { UplinkLimits } from "@openclaw/core/sync/uplink-budget.ts";
import type { UplinkReplica } from "@openclaw/core/sync/uplink-options.ts";
import type { UplinkDoor, UplinkStatus } from "../api/deps.ts";
import type { NodeConfig } from "../config.ts";
import { hangUp } from "../network/dial.ts";
import type { Host } from "../network/host.ts";
import type { NetworkLog } from "../network/network-log.ts";
import { dialParent, TrafficCounter } from "../network/sync-streams.ts";
import { sha256 } from "../storage/sha256.ts";
import { dialInTurn } from "./dial-in-turn.ts";
import type { LinkRefusals } from "./link-refusals.ts";

export interface UplinkOptions {
  readonly host: Host;
  readonly replica: UplinkReplica;
  readonly parent: NonNullable<NodeConfig["parent"]>;
  readonly limits: UplinkLimits;
  readonly cluster: ClusterId;
  readonly credential: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
  readonly refusals: LinkRefusals;
  readonly log: NetworkLog;
}

export class Uplink implements UplinkDoor {
  readonly #core: CoreUplink;
  readonly #stopping = new AbortController();

  constructor({ host, replica, parent, limits, cluster, credential, clock, random, refusals, log }: UplinkOptions) {
    const traffic = new TrafficCounter();
    const dialler = dialInTurn(parent.addresses, clock, random, (node, signal) =>
      dialParent(host, node, traffic, signal),
    );
    this.#core = new CoreUplink({
      replica,
      cluster,
      parent: parent.cluster,
      credential,
      subscription: { ...parent.subscribe, prefixes: parent.subscribe.prefixes.map((prefix) => utf8(prefix)) },
      clock,
      random,
      sha256,
      limits,
      traffic: () => traffic,
      connect: async (ended): Promise<ChildConnection> =>
        childConnection(await dialler.dial(this.#stopping.signal, ended)),
      connected: () => {
        refusals.up("parent", parent.cluster);
        log.info({ parent: parent.cluster }, "the uplink is up");
      },
      ended: (reason) => {
        if (reason === null) return;
        refusals.refused("parent", parent.cluster, reason);
        log.warn({ parent: parent.cluster, code: reason.code, err: reason }, "the uplink is down");
      },
      spent: (msToNextDay) => {
        const { bytesPerDay } = limits;
        log.warn({ parent: parent.cluster, bytesPerDay, msToNextDay }, "the uplink's bytes of the day are used up");
        // Gossip and pings would go on using them.
        hangUp(host, parent.addresses);
      },
    });
  }

  start(): void {
    this.#core.start();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new OpenClawError("STOPPED"));
    await this.#core.stop();
  }

  setEnabled(enabled: boolean): void {
    this.#core.setEnabled(enabled);
  }

  mirrorAgeMs(origin: ClusterId): number | null {
    // What the parent passes on of others may be older there.
    return origin === this.#core.status().parent ? this.#core.mirrorAgeMs() : null;
  }

  /** @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  allow(bytes: number): Promise<void> {
    return this.#core.allow(bytes);
  }

  status(): UplinkStatus {
    const { lastError, ...state } = this.#core.status();
    return { ...state, failure: lastError?.message ?? null, failureCode: lastError?.code ?? null };
  }

  planAdoption(): ReturnType<CoreUplink["epochs"]["plan"]> {
    return this.#core.epochs.plan();
  }

  adopt(): ReturnType<CoreUplink["epochs"]["adopt"]> {
    return this.#core.epochs.adopt();
  }
}
