/** Keeps this page's link to its site: connects, and connects again; hands over what comes. */
import { InvariantViolation, OpenClawError } from "../errors.ts";
import type { LeaseId } from "../ids.ts";
import type { Clock, Random } from "../ports.ts";
import type { ReadMode } from "../replica/read-mode.ts";
import { Backoff } from "../sync/backoff.ts";
import type { ChildLink, ChildLinkOwner, Hello } from "../sync/child-link.ts";
import type { Asked } from "../sync/child-questions.ts";
import type { ChildConnection, ChildQuery } from "../sync/message.ts";
import type { linkOwner } from "./link-owner.ts";
import type { ClientMetrics, LinkState } from "./options.ts";

/** First and longest delay between two tries to connect, ms. */
const RETRY_MS_FIRST = 250;
const RETRY_MS_MAX = 10_000;

export interface LinkCode {
  readonly ChildLink: typeof ChildLink;
  readonly linkOwner: typeof linkOwner;
}

export interface SiteLinkOptions {
  /** One try at a connection to any gateway; told why the one before ended. */
  connect(ended: OpenClawError | null): Promise<ChildConnection>;
  /** @throws OpenClawError UNAVAILABLE: it cannot be loaded, and the try for a connection has failed */
  online(): Promise<LinkCode>;
  readonly clock: Clock;
  readonly random: Random;
  /** Called at each connection. */
  hello(): Promise<Omit<Hello, "kind" | "version">>;
  owner(code: LinkCode): Omit<ChildLinkOwner, "closed">;
  /** The state, or the last error, changed. */
  changed(): void;
  /** A connection ended; resolves when the next one may begin. */
  ended(reason: OpenClawError | null): Promise<void>;
}

export class SiteLink {
  readonly #options: SiteLinkOptions;
  readonly #backoff: Backoff;
  #state: LinkState = "offline";
  #wanted = false;
  #running: Promise<void> | null = null;
  #link: ChildLink | null = null;
  #lastError: OpenClawError | null = null;
  /** The last try came to nothing. */
  #failing = false;
  #connections = 0;
  #failedConnections = 0;
  readonly #waiting = new Set<() => void>();
  /** Numbers the connections, so that one that comes too late is known. */
  #attempt = 0;

  constructor(options: SiteLinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.clock, options.random, RETRY_MS_FIRST, RETRY_MS_MAX);
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Why there is no connection, or why the last one ended; null after one was welcomed. */
  get lastError(): OpenClawError | null {
    return this.#lastError;
  }

  get link(): ChildLink | null {
    return this.#link;
  }

  /** Connects, and stays connected. Ends a wait between two tries. */
  start(): void {
    this.#wanted = true;
    this.#backoff.reset();
    this.#backoff.wake();
    // A try that was under way when it was stopped may take long to end.
    if (this.#state === "offline") this.#set("connecting");
    this.#running ??= this.#run();
  }

  /** Lets go of the connection, and makes no other. */
  stop(): void {
    this.#wanted = false;
    this.#attempt++;
    this.#link?.close();
    this.#backoff.wake();
    this.#set("offline");
  }

  /** Ends the connection and makes a new one, as what is asked of the parent has changed. */
  restart(): void {
    if (!this.#wanted) return;
    this.#attempt++;
    this.#backoff.reset();
    this.#link?.close();
    this.#backoff.wake();
  }

  /** @throws OpenClawError UNAVAILABLE, OVERLOADED, and what the site refuses it with */
  ask<Q extends ChildQuery>(query: Q, mode: ReadMode, timeoutMs: number): Promise<Asked<Q>> {
    if (this.#link === null) return Promise.reject(new OpenClawError("UNAVAILABLE", "not connected to the site"));
    return this.#link.ask(query, mode, timeoutMs);
  }

  /** @throws OpenClawError as `ChildLink.keepAlive` */
  keepAlive(lease: LeaseId, timeoutMs: number): Promise<void> {
    if (this.#link === null) return Promise.reject(new OpenClawError("UNAVAILABLE", "not connected to the site"));
    return this.#link.keepAlive(lease, timeoutMs);
  }

  /**
   * Resolves when the site is connected: waits for the try under way, if the one before succeeded or there was none.
   * @throws OpenClawError UNAVAILABLE
   */
  async ready(timeoutMs: number): Promise<void> {
    if (this.#state === "online") return;
    if (this.#state === "offline" || this.#failing) throw this.#unavailable();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(timeoutMs, () => reject(this.#unavailable()));
    const look = (): void => {
      if (this.#state === "online") resolve();
      else if (this.#state === "offline" || this.#failing) reject(this.#unavailable());
    };
    this.#waiting.add(look);
    await promise.finally(() => {
      cancel();
      this.#waiting.delete(look);
    });
  }

  metrics(): Pick<ClientMetrics, "connections" | "failedConnections"> {
    return { connections: this.#connections, failedConnections: this.#failedConnections };
  }

  #unavailable(): OpenClawError {
    return new OpenClawError("UNAVAILABLE", this.#lastError?.details ?? "not connected to the site");
  }

  async #run(): Promise<void> {
    while (this.#wanted) {
      this.#set("connecting");
      const attempt = ++this.#attempt;
      const welcomed = this.#connections;
      const reason = await this.#connection(attempt);
      this.#lastError = reason;
      if (reason !== null && welcomed === this.#connections) {
        this.#failing = true;
        this.#failedConnections++;
        this.#tell();
      }
      await this.#options.ended(reason);
      if (!this.#wanted) break;
      // Ended by `restart`: at once.
      if (reason !== null) await this.#wait();
    }
    this.#running = null;
    if (this.#wanted) this.start();
  }

  async #wait(): Promise<void> {
    this.#set("connecting");
    await this.#backoff.wait();
  }

  /** One connection, from the try to its end. */
  async #connection(attempt: number): Promise<OpenClawError | null> {
    try {
      // Before there is a connection, which is taken up at once.
      const online = await this.#options.online();
      if (attempt !== this.#attempt) return null;
      const hello = await this.#options.hello();
      if (attempt !== this.#attempt) return null;
      const connection = await this.#options.connect(this.#lastError);
      if (attempt !== this.#attempt) {
        connection.close();
        return null;
      }
      return await this.#converse(online, connection, hello);
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      return error instanceof OpenClawError ? error : new OpenClawError("UNAVAILABLE", String(error), { cause: error });
    }
  }

  #converse(
    code: LinkCode,
    connection: ChildConnection,
    hello: Omit<Hello, "kind" | "version">,
  ): Promise<OpenClawError | null> {
    const owner = this.#options.owner(code);
    return new Promise((resolve) => {
      let over = false;
      const link = new code.ChildLink({
        connection,
        hello,
        clock: this.#options.clock,
        owner: {
          ...owner,
          welcomed: (welcome) => {
            this.#lastError = null;
            this.#failing = false;
            this.#connections++;
            this.#set("online");
            owner.welcomed(welcome);
          },
          closed: (reason) => {
            over = true;
            this.#link = null;
            resolve(reason);
          },
        },
      });
      // It may have been closed before it was handed to us.
      if (!over) this.#link = link;
    });
  }

  #set(state: LinkState): void {
    this.#state = state;
    this.#options.changed();
    this.#tell();
  }

  #tell(): void {
    for (const look of [...this.#waiting]) look();
  }
}
