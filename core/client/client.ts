/**
 * What an app holds: key-values, documents, its outbox and its status. The same in a browser and in Node; what differs
 * (storage, the way to a gateway, locks between tabs) comes in through the options.
 */
import type { LinkId } from "../ids.ts";
import { positionText } from "../ledger/position-token.ts";
import type { Documents } from "./documents.ts";
import type { Keys } from "./keys.ts";
import type { Leases } from "./leases.ts";
import { callListener } from "./listener.ts";
import type { Roamed } from "./meeting.ts";
import type { ClientMetrics, ClientOptions, ClientStatus } from "./options.ts";
import type { OutboxEntries } from "./outbox-entries.ts";
import type { Presence } from "./presence.ts";
import type { Restored } from "./restored.ts";
import { Session } from "./session.ts";
import type { Withdrawn } from "./upstream.ts";

export type {
  ClientMetrics,
  ClientOptions,
  ClientStatus,
  StoragePort,
  StorageStatus,
  SyncProgress,
  Unsynced,
} from "./options.ts";

export class Client {
  /** Key-values of the site, and mirrors of others'. */
  readonly kv: Keys;
  /** Documents that any tier may change, offline too. */
  readonly docs: Documents;
  /** What is not at the site yet, and what the site refused. */
  readonly outbox: OutboxEntries;
  /** Granted, and kept alive as long as this client can. */
  readonly leases: Leases;
  /** Who else is there; of nothing that is stored. */
  readonly presence: Presence;
  /** What recipes need besides its keys. */
  readonly ports: Pick<ClientOptions, "clock" | "random">;
  readonly #options: ClientOptions;
  readonly #session: Session;
  readonly #listeners = new Set<() => void>();
  #status: ClientStatus | null = null;

  constructor(options: ClientOptions, restored: Restored) {
    const { clock, random } = options;
    this.#options = options;
    this.ports = { clock, random };
    this.#session = new Session(options, restored, () => this.#changed());
    this.kv = this.#session.keys;
    this.docs = this.#session.documents;
    this.outbox = this.#session.entries;
    this.leases = this.#session.leases;
    this.presence = this.#session.presence;
    options.storage?.subscribe(() => this.#changed());
  }

  /** This session's stream and actor. */
  get link(): LinkId {
    return this.#session.name;
  }

  /** The highest position that this session has written or read, for the `minRevision` of another; null before the first. */
  get position(): string | null {
    const { position } = this.#session.reads;
    return position === null ? null : positionText(position);
  }

  /** The same object until something changed. */
  status(): ClientStatus {
    this.#status ??= this.#session.status();
    return this.#status;
  }

  /** What it counted so far, for whoever watches over it. */
  metrics(): ClientMetrics {
    const gateways = this.#options.gateways?.() ?? [];
    return { ...this.#session.metrics(), gateways };
  }

  /** Calls back when `status` changed; the returned function ends it. */
  subscribe(listener: () => void): () => void {
    const call = (): void => callListener(listener);
    this.#listeners.add(call);
    return () => this.#listeners.delete(call);
  }

  /** Calls back when revisions of the site's lose the rung `hub`: its parent was restored (L3). The returned function ends it. */
  onWithdrawn(listener: (withdrawn: Withdrawn) => void): () => void {
    return this.#session.upstream.onWithdrawn(listener);
  }

  /** Calls back when this device follows another site than before (`roaming`). The returned function ends it. */
  onRoamed(listener: (roamed: Roamed) => void): () => void {
    return this.#session.meeting.onRoamed(listener);
  }

  /** Lets go of the site: everything goes on here. */
  goOffline(): void {
    this.#session.goOffline();
  }

  /** Connects, at once if it was waiting to. */
  goOnline(): void {
    this.#session.goOnline();
  }

  /** Ends the client and closes its store. What is stored waits for the next session. */
  stop(): Promise<void> {
    return this.#session.stop();
  }

  #changed(): void {
    this.#status = null;
    for (const listener of [...this.#listeners]) listener();
  }
}
