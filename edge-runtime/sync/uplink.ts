/** This node's way to the parent cluster: who to dial, and what core's uplink says of it. */

import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { Clock, Random } from "@openclaw/core/ports.ts";
import { childConnection } from "@openclaw/core/sync/connection.ts";
import type { ChildConnection } from "@openclaw/core/sync/message.ts";
import { Uplink as CoreUplink, type UplinkReplica } from "@openclaw/core/sync/uplink.ts";
import type { UplinkDoor, UplinkStatus } from "../api/deps.ts";
import type { NodeConfig } from "../config.ts";
import type { Host } from "../network/host.ts";
import type { NetworkLog } from "../network/network-log.ts";
import { dialInTurn } from "./dial-in-turn.ts";
import type { LinkRefusals } from "./link-refusals.ts";

export interface UplinkOptions {
  readonly host: Host;
  readonly replica: UplinkReplica;
  readonly parent: NonNullable<NodeConfig["parent"]>;
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

  constructor({ host, replica, parent, cluster, credential, clock, random, refusals, log }: UplinkOptions) {
    const dialler = dialInTurn(host, parent.addresses, clock, random);
    this.#core = new CoreUplink({
      replica,
      cluster,
      parent: parent.cluster,
      credential,
      subscription: { ...parent.subscribe, prefixes: parent.subscribe.prefixes.map((prefix) => utf8(prefix)) },
      clock,
      random,
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

  status(): UplinkStatus {
    const { parent, enabled, connected, cursor, lastError } = this.#core.status();
    return {
      parent,
      enabled,
      connected,
      cursor,
      failure: lastError?.message ?? null,
      failureCode: lastError?.code ?? null,
    };
  }

  planAdoption(): ReturnType<CoreUplink["planAdoption"]> {
    return this.#core.planAdoption();
  }

  adopt(): ReturnType<CoreUplink["adopt"]> {
    return this.#core.adopt();
  }
}
