/**
 * The one connection of a device to its site, and the sync streams on it: one for each session of this device that wants
 * one. It goes to any gateway of the site, in the turn of a `Rotation`.
 */

import { OpenClawError } from "@openclaw/core/errors.ts";
import { type GatewayState, Rotation } from "@openclaw/core/sync/rotation.ts";
import { besideLoader } from "../beside.ts";
import { browserClock, browserRandom } from "../ports.ts";
import type { Dialer } from "./dialer.ts";
import { FrameStream } from "./frame-stream.ts";
import type { GatewayConnection } from "./gateway-connection.ts";
import type { Gateway } from "./gateways.ts";

export const SYNC_PROTOCOL = "/openclaw/sync/1";

/** A gateway that has not answered by then is passed over, ms. */
const DIAL_MS_MAX = 5_000;
/** Sync streams on the connection: as many as a gateway takes. */
const STREAMS_MAX = 32;
/** What is not flushed by then when this ends is dropped, ms. */
const CLOSE_MS_MAX = 1_000;

export class SiteConnection {
  #gateways: readonly Gateway[] = [];
  readonly #loaded = besideLoader("the code that dials a gateway", async () =>
    (await import("./dialer.ts")).createDialer(),
  );
  /** Open ones: the current one, and any that is tried. */
  readonly #connections = new Set<GatewayConnection>();
  readonly #rotation: Rotation<Gateway>;
  #current: { readonly gateway: string; readonly connection: GatewayConnection } | null = null;
  /** A dial under way, for all who want a stream meanwhile; resolves with why it failed, or null. */
  #dialled: Promise<OpenClawError | null> | null = null;
  readonly #streams = new Set<FrameStream>();
  /** On which connection each caller's last stream was. */
  readonly #lastOf = new Map<string, GatewayConnection>();
  #closed = false;
  /** Aborted and replaced when the device goes offline. */
  #dialling = new AbortController();

  constructor(gateways: readonly Gateway[]) {
    this.#gateways = dialable(gateways);
    this.#rotation = new Rotation(browserClock, browserRandom, this.#gateways, ({ peer }) => peer);
  }

  /** The site has told of others; open streams stay. */
  setGateways(gateways: readonly Gateway[]): void {
    this.#gateways = dialable(gateways);
    this.#rotation.set(this.#gateways);
  }

  /** Peer id of the gateway last connected to. */
  get gateway(): string | null {
    return this.#current?.gateway ?? null;
  }

  /** What is known of each gateway. */
  states(): readonly GatewayState[] {
    return this.#rotation.states();
  }

  /** Loads libp2p before it is needed. */
  async prepare(): Promise<void> {
    await this.#loaded();
  }

  /**
   * Opens a stream: on the connection that there is, else after one try at each gateway; the caller waits and tries again.
   * @param caller who wants it, to tell whether it was on this connection before
   * @param ended why the caller's last stream ended; null when there was none, or it was ended on purpose
   * @throws OpenClawError UNAVAILABLE, OVERLOADED, STOPPED
   */
  async connect(caller: string, ended: OpenClawError | null): Promise<FrameStream> {
    if (this.#closed) throw new OpenClawError("STOPPED");
    if (this.#streams.size >= STREAMS_MAX)
      throw new OpenClawError("OVERLOADED", `this device has ${STREAMS_MAX} sync streams`);
    // Whoever dials takes the first stream; the others' come after it.
    while (this.#dialled !== null) {
      const failure = await this.#dialled;
      if (failure !== null) throw failure;
    }
    const current = this.#current;
    let why = ended;
    if (current?.connection.isOpen === true) {
      if (!this.#isAtFault(caller, ended)) {
        try {
          return await this.#stream(caller, current.connection);
        } catch (error) {
          // Somebody else found that out before, and has dialled.
          if (this.#current !== current || this.#dialled !== null) return this.connect(caller, null);
          why = asUnavailable(error);
        }
      }
    } else if (current !== null) why ??= new OpenClawError("UNAVAILABLE", "the connection was lost");
    // Also one that has ended: of a gateway that only said goodbye the socket is still there.
    current?.connection.abort(why ?? new OpenClawError("UNAVAILABLE"));
    this.#current = null;
    const dialled = this.#dial(caller, why);
    this.#dialled = dialled.then(() => null, asUnavailable);
    try {
      return await dialled;
    } finally {
      this.#dialled = null;
    }
  }

  /** That caller will not come again. */
  forget(caller: string): void {
    this.#lastOf.delete(caller);
  }

  /** Drops every stream and the connection at once: the device is offline, say. */
  drop(reason: OpenClawError): void {
    this.#dialling.abort(reason);
    this.#dialling = new AbortController();
    this.#current = null;
    for (const stream of [...this.#streams]) stream.cut(reason);
    for (const connection of [...this.#connections]) connection.abort(reason);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#dialling.abort(new OpenClawError("STOPPED"));
    for (const stream of [...this.#streams]) stream.close();
    const signal = AbortSignal.timeout(CLOSE_MS_MAX);
    await Promise.all(
      [...this.#connections].map((connection) =>
        connection.close(signal).catch((error: unknown) => connection.abort(asUnavailable(error))),
      ),
    );
  }

  /**
   * The caller's conversation on this connection ended for a reason that another gateway may not have. What only this
   * caller is told (it is not let in, say) moves nobody else's streams.
   */
  #isAtFault(caller: string, ended: OpenClawError | null): boolean {
    if (ended === null || this.#lastOf.get(caller) !== this.#current?.connection) return false;
    return ended.retryable || this.#streams.size === 0;
  }

  /** One try at each gateway. */
  async #dial(caller: string, ended: OpenClawError | null): Promise<FrameStream> {
    const { signal } = this.#dialling;
    const failures: string[] = [];
    // Without it no gateway has failed.
    const dialer = await this.#loaded();
    const stream = await this.#rotation.dial(
      ended,
      async (gateway) => {
        if (this.#closed) throw new OpenClawError("STOPPED");
        const connection = await this.#connection(dialer, gateway, signal);
        try {
          const opened = await this.#stream(caller, connection);
          this.#current = { gateway: gateway.peer, connection };
          return opened;
        } catch (error) {
          connection.abort(asUnavailable(error));
          throw error;
        }
      },
      async (peer, error) => {
        if (signal.aborted) throw asUnavailable(signal.reason);
        failures.push(`${peer}: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
    if (stream !== null) return stream;
    throw new OpenClawError("UNAVAILABLE", failures.join("; ") || "no gateway has an address for browsers");
  }

  async #connection(dialer: Dialer, gateway: Gateway, dropped: AbortSignal): Promise<GatewayConnection> {
    const signal = AbortSignal.any([dropped, AbortSignal.timeout(DIAL_MS_MAX)]);
    const connection = await dialer.dial(gateway.addresses, (ended) => this.#connections.delete(ended), signal);
    if (dropped.aborted) connection.abort(asUnavailable(dropped.reason));
    dropped.throwIfAborted();
    if (connection.isOpen) this.#connections.add(connection);
    return connection;
  }

  async #stream(caller: string, connection: GatewayConnection): Promise<FrameStream> {
    const dropped = this.#dialling.signal;
    const signal = AbortSignal.any([dropped, AbortSignal.timeout(DIAL_MS_MAX)]);
    const stream: FrameStream = new FrameStream(await connection.newStream(SYNC_PROTOCOL, signal), () =>
      this.#streams.delete(stream),
    );
    if (dropped.aborted) {
      stream.cut(asUnavailable(dropped.reason));
      throw dropped.reason;
    }
    this.#lastOf.set(caller, connection);
    this.#streams.add(stream);
    return stream;
  }
}

const dialable = (gateways: readonly Gateway[]): readonly Gateway[] =>
  gateways.filter((gateway) => gateway.addresses.length > 0);

const asUnavailable = (error: unknown): OpenClawError =>
  error instanceof OpenClawError
    ? error
    : new OpenClawError("UNAVAILABLE", error instanceof Error ? error.message : String(error));
