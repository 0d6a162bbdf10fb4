/** Opens the sync stream to any gateway of the site, in the turn of a `Rotation`. */

import { OpenClawError } from "@openclaw/core/errors.ts";
import { childConnection } from "@openclaw/core/sync/connection.ts";
import type { ChildConnection } from "@openclaw/core/sync/message.ts";
import { type GatewayState, Rotation } from "@openclaw/core/sync/rotation.ts";
import type { Libp2p } from "libp2p";
import { FrameStream } from "./frame-stream.ts";
import type { Gateway } from "./gateways.ts";
import { browserClock, browserRandom } from "./ports.ts";

export const SYNC_PROTOCOL = "/openclaw/sync/1";

/** A gateway that has not answered by then is passed over, ms. */
const DIAL_MS_MAX = 5_000;

export class SiteConnection {
  #gateways: readonly Gateway[] = [];
  #host: Promise<Libp2p> | undefined;
  readonly #rotation: Rotation<Gateway>;
  #stream: FrameStream | undefined;
  #current: string | null = null;
  #closed = false;
  /** Aborted and replaced when the device goes offline. */
  #dialling = new AbortController();

  constructor(gateways: readonly Gateway[]) {
    this.#gateways = dialable(gateways);
    this.#rotation = new Rotation(browserClock, browserRandom, this.#gateways, ({ peer }) => peer);
  }

  /** The site has told of others; the open stream stays. */
  setGateways(gateways: readonly Gateway[]): void {
    this.#gateways = dialable(gateways);
    this.#rotation.set(this.#gateways);
  }

  /** Peer id of the gateway last connected to. */
  get gateway(): string | null {
    return this.#current;
  }

  /** What is known of each gateway. */
  states(): readonly GatewayState[] {
    return this.#rotation.states();
  }

  /** Loads libp2p before it is needed. */
  async prepare(): Promise<void> {
    await this.#libp2p();
  }

  /** One try at each gateway; the caller waits and tries again. @throws OpenClawError UNAVAILABLE */
  async connect(ended: OpenClawError | null = null): Promise<ChildConnection> {
    const { signal } = this.#dialling;
    const failures: string[] = [];
    const connection = await this.#rotation.dial(
      ended,
      async (gateway) => {
        if (this.#closed) throw new OpenClawError("STOPPED");
        const stream = await this.#dial(gateway, signal);
        this.#stream = stream;
        this.#current = gateway.peer;
        return childConnection(stream);
      },
      async (peer, error) => {
        if (signal.aborted) throw asUnavailable(signal.reason);
        // A connection that a dead gateway left behind would be taken again at the next try.
        await this.#abortConnections(asUnavailable(error), peer);
        failures.push(`${peer}: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
    if (connection !== null) return connection;
    throw new OpenClawError("UNAVAILABLE", failures.join("; ") || "no gateway has an address for browsers");
  }

  /** Drops the stream and its connection at once: the device says that it is offline. */
  async drop(): Promise<void> {
    const reason = new OpenClawError("UNAVAILABLE", "this device is offline");
    this.#dialling.abort(reason);
    this.#dialling = new AbortController();
    this.#stream?.cut(reason);
    await this.#abortConnections(reason);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stream?.close();
    const host = this.#host;
    await (await host)?.stop();
  }

  async #dial(gateway: Gateway, dropped: AbortSignal): Promise<FrameStream> {
    const [host, { multiaddr }] = await Promise.all([this.#libp2p(), import("@multiformats/multiaddr")]);
    const signal = AbortSignal.any([dropped, AbortSignal.timeout(DIAL_MS_MAX)]);
    const addresses = gateway.addresses.map((address) => multiaddr(address));
    const stream = new FrameStream(await host.dialProtocol(addresses, SYNC_PROTOCOL, { signal }));
    if (!dropped.aborted) return stream;
    stream.cut(asUnavailable(dropped.reason));
    throw dropped.reason;
  }

  /** @param peer of that gateway only; of all, unless given */
  async #abortConnections(reason: Error, peer?: string): Promise<void> {
    const host = await this.#host;
    for (const connection of host?.getConnections() ?? [])
      if (peer === undefined || connection.remotePeer.toString() === peer) connection.abort(reason);
  }

  #libp2p(): Promise<Libp2p> {
    this.#host ??= import("./libp2p-host.ts").then(({ createHost }) =>
      createHost(() => this.#gateways.flatMap((gateway) => gateway.addresses)),
    );
    // A chunk that could not be loaded is asked for again at the next try.
    this.#host.catch(() => {
      this.#host = undefined;
    });
    return this.#host;
  }
}

const dialable = (gateways: readonly Gateway[]): readonly Gateway[] =>
  gateways.filter((gateway) => gateway.addresses.length > 0);

const asUnavailable = (error: unknown): OpenClawError =>
  error instanceof OpenClawError
    ? error
    : new OpenClawError("UNAVAILABLE", error instanceof Error ? error.message : String(error));
