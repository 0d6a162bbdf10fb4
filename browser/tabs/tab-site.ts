/**
 * How a tab gets its streams to the site. The tab that leads has the one connection of this device, and opens streams on it
 * for itself and for the others, which ask it over a channel.
 */
import { OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import type { Clock, Random } from "@openclaw/core/ports.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import type { GatewayState } from "@openclaw/core/sync/rotation.ts";
import type { Gateway } from "../connection/gateways.ts";
import { errorData, errorOf } from "../worker/error-data.ts";
import type { TabSite } from "../worker/worker-service.ts";
import { FollowerStreams } from "./follower-streams.ts";
import { Leadership, type Locks } from "./leadership.ts";
import { type TabMessage, tabMessage } from "./tab-message.ts";
import { leaderLock, streamChannel, tabsChannel } from "./tab-names.ts";
import { type Channel, failAll, type OpenChannel, type TabStream, tabStream } from "./tab-stream.ts";

/** A leader is known by then, or the try has failed, ms. */
const LEADER_MS_MAX = 5_000;
/** The leader has answered by then: it may try several gateways first, ms. */
const OPENED_MS_MAX = 20_000;

type Frames = FrameConnection<Uint8Array, Uint8Array>;

/** The connection that this tab has while it leads. */
export interface OwnConnection {
  /** @throws OpenClawError UNAVAILABLE, OVERLOADED, … */
  connect(caller: string, ended: OpenClawError | null): Promise<Frames>;
  prepare(): Promise<void>;
  setGateways(gateways: readonly Gateway[]): void;
  states(): readonly GatewayState[];
  forget(caller: string): void;
  drop(reason: OpenClawError): void;
  close(): Promise<void>;
}

export interface TabSiteOptions {
  readonly tab: string;
  /** The database's name. */
  readonly store: string;
  readonly connection: OwnConnection;
  readonly locks: Locks;
  readonly open: OpenChannel;
  readonly clock: Clock;
  readonly random: Random;
}

export class LeadingTabSite implements TabSite {
  readonly #options: TabSiteOptions;
  readonly #channel: Channel;
  readonly #leadership: Leadership;
  readonly #followers: FollowerStreams;
  /** Streams that this tab has of the leader. */
  readonly #streams = new Set<TabStream>();
  /** Those asked for, by their ids. */
  readonly #opening = new Map<string, (error: OpenClawError | null) => void>();
  /** Called when another tab leads, or none is known to. */
  readonly #waiting = new Set<() => void>();
  #led = false;

  constructor(options: TabSiteOptions) {
    this.#options = options;
    const { tab, store, connection, locks, open, clock, random } = options;
    this.#channel = open(tabsChannel(store), (data) => this.#heard(data));
    const post = (message: TabMessage): void => this.#channel.post(message);
    this.#followers = new FollowerStreams({
      store,
      locks,
      open,
      post,
      connect: (caller, ended) => connection.connect(caller, ended),
      gone: (caller) => connection.forget(caller),
    });
    const lock = leaderLock(store);
    this.#leadership = new Leadership({ tab, lock, locks, clock, random, post, changed: () => this.#changed() });
    this.#leadership.start();
  }

  /** One try, over whichever tab leads. @throws OpenClawError UNAVAILABLE, OVERLOADED, … */
  async connect(ended: OpenClawError | null): Promise<Frames> {
    const leader = this.#leadership.leader ?? (await this.#known());
    if (leader === this.#options.tab) return this.#options.connection.connect(leader, ended);
    return this.#ask(leader, ended);
  }

  setGateways(gateways: readonly Gateway[]): void {
    this.#options.connection.setGateways(gateways);
  }

  states(): readonly GatewayState[] {
    return this.#options.connection.states();
  }

  drop(): void {
    this.#drop(new OpenClawError("UNAVAILABLE", "this device is offline"));
  }

  /** Another tab leads sooner if this one says that it will not. */
  freeze(): void {
    this.#leadership.stop();
  }

  resume(): void {
    this.#leadership.start();
  }

  async close(): Promise<void> {
    this.#leadership.stop();
    failAll(this.#streams, new OpenClawError("STOPPED"));
    await this.#options.connection.close();
    this.#channel.close();
  }

  #heard(data: unknown): void {
    const message = tabMessage(data);
    if (message === null) return;
    switch (message.kind) {
      case "probe":
        return this.#leadership.probed();
      case "beat":
        return this.#leadership.heard(message.tab, message.term);
      case "open":
        if (message.to === this.#options.tab && this.#leadership.leads) void this.#followers.open(message);
        return;
      case "opened":
        return this.#opening.get(message.stream)?.(message.error === null ? null : errorOf(message.error));
      default:
        return unreachable(message);
    }
  }

  #changed(): void {
    const { leads } = this.#leadership;
    const reason = new OpenClawError("UNAVAILABLE", "another tab of this device leads");
    // What this tab had of the leader before, or as the leader, is over.
    if (this.#led) this.#followers.end(reason);
    if (this.#led) this.#options.connection.drop(reason);
    else this.#endStreams(reason);
    this.#led = leads;
    for (const look of [...this.#waiting]) look();
    if (leads) this.#prepare();
  }

  /** Needed at the first connection only, which asks again if this fails. */
  #prepare(): void {
    this.#options.connection.prepare().catch(() => undefined);
  }

  #drop(reason: OpenClawError): void {
    this.#options.connection.drop(reason);
    this.#endStreams(reason);
  }

  #endStreams(reason: OpenClawError): void {
    failAll(this.#streams, reason);
    for (const opened of [...this.#opening.values()]) opened(reason);
  }

  /** The tab that leads. @throws OpenClawError UNAVAILABLE */
  #known(): Promise<string> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        cancel();
        this.#waiting.delete(look);
      };
      const look = (): void => {
        const { leader } = this.#leadership;
        if (leader === null) return;
        end();
        resolve(leader);
      };
      const cancel = this.#options.clock.after(LEADER_MS_MAX, () => {
        end();
        reject(new OpenClawError("UNAVAILABLE", "no tab of this device leads"));
      });
      this.#waiting.add(look);
    });
  }

  #ask(leader: string, ended: OpenClawError | null): Promise<Frames> {
    const { tab, store, open, clock } = this.#options;
    const id = crypto.randomUUID();
    const stream: TabStream = tabStream(open, streamChannel(store, id), () => this.#streams.delete(stream));
    this.#streams.add(stream);
    return new Promise((resolve, reject) => {
      const opened = (error: OpenClawError | null): void => {
        cancel();
        this.#opening.delete(id);
        if (error === null) {
          // So that it can take over without waiting for code, which comes from a site that may not answer then.
          this.#prepare();
          return resolve(stream);
        }
        stream.end(error);
        reject(error);
      };
      const cancel = clock.after(OPENED_MS_MAX, () =>
        opened(new OpenClawError("UNAVAILABLE", `the leading tab did not answer for ${OPENED_MS_MAX} ms`)),
      );
      this.#opening.set(id, opened);
      const message: TabMessage = { kind: "open", to: leader, tab, stream: id, ended: ended && errorData(ended) };
      this.#channel.post(message);
    });
  }
}
