/**
 * The native client, which finds members by their keys: when one has been succeeded, it is opened anew. A put that is
 * under way then goes on at the gateways that it knows; two of them are still there.
 */
import type { Client } from "@openclaw/core/client/client.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import type { RealCluster } from "./cluster.ts";
import type { UniqueKeys } from "./unique-keys.ts";

type Gateways = Pick<RealCluster, "members" | "token">;

export class NativeWriter {
  readonly #cluster: Gateways;
  #members: RealCluster["members"];
  #client: Client;
  #stopped = false;

  private constructor(cluster: Gateways, client: Client) {
    this.#cluster = cluster;
    this.#members = cluster.members;
    this.#client = client;
  }

  static async open(cluster: Gateways): Promise<NativeWriter> {
    return new NativeWriter(cluster, await clientOf(cluster));
  }

  /** The next unique key. Resolves when it is acknowledged. */
  async put(keys: UniqueKeys): Promise<void> {
    if (this.#members !== this.#cluster.members) await this.#openAnew();
    if (!this.#stopped) await keys.putNatively(this.#client);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#client.stop();
  }

  async #openAnew(): Promise<void> {
    this.#members = this.#cluster.members;
    await this.#client.stop();
    this.#client = await clientOf(this.#cluster);
    // Whoever stopped us meanwhile stopped the one before.
    if (this.#stopped) await this.#client.stop();
  }
}

const clientOf = ({ members, token }: Gateways): Promise<Client> =>
  openClaw({ gateways: members.map(({ address }) => address), token: () => token });
