/** What a client is opened with, and what it says of itself. */
import type { OpenClawError } from "../errors.ts";
import type { ClusterId, LinkId, Revision } from "../ids.ts";
import type { Clock, NextTurn, Random } from "../ports.ts";
import type { ChildConnection } from "../sync/message.ts";
import type { GatewayState } from "../sync/rotation.ts";
import type { NeighboursPort } from "./device-news.ts";
import type { Claim } from "./drain.ts";
import type { Inspection } from "./inspection.ts";
import type { ClientStore } from "./store.ts";
import type { Wanted } from "./subscription.ts";

export type LinkState = "online" | "connecting" | "offline";

/** What is known of the device's storage itself. */
export interface StorageStatus {
  /** The browser has promised not to evict it; null while it was not asked, or knows no such promise. */
  readonly persisted: boolean | null;
  /**
   * What waits for the site stands in a second place of this device, too, so that it outlives a browser that loses its database.
   * Null while the code for that could not be loaded; false where the browser offers no such place, or it failed: then `device` is
   * the database alone.
   */
  readonly copied: boolean | null;
  /** CLIENT_STORAGE_LOST: what was stored here before is gone; its details say what that was. Null while it is not. */
  readonly loss: OpenClawError | null;
  /** What waits for this site at other origins of this device, as they say; at most 16 are told of. */
  readonly elsewhere: readonly Unsynced[];
}

/** Edits at another origin, which only a page of that one can send, or export. A hint: anybody on the domain may have written it. */
export interface Unsynced {
  readonly origin: string;
  readonly unsynced: number;
  /** Since when some wait: ms since 1970 by this device's clock. */
  readonly since: number;
}

/** Who watches over the device's storage. */
export interface StoragePort {
  status(): StorageStatus;
  /** Called once; `changed`, whenever `status` did. */
  subscribe(changed: () => void): void;
}

export type Roams = "none" | "documents";

export interface ClientOptions {
  readonly store: ClientStore;
  /** Kept, as far as anybody knows, unless given. */
  readonly storage?: StoragePort;
  readonly clock: Clock;
  readonly random: Random;
  readonly nextTurn: NextTurn;
  /** Reads and checks what comes from the site, and from files: off the page in a browser. */
  readonly inspection: Inspection;
  /**
   * One try at a connection to any gateway of the site; the client waits and tries again. `ended`: why the connection
   * before ended, or could not be had: another gateway may do better. Null when there was none, or it was ended here.
   */
  connect(ended: OpenClawError | null): Promise<ChildConnection>;
  /** What is known of the gateways that `connect` dials; none, unless given. */
  gateways?(): readonly GatewayState[];
  /** Asked at each connection; null where the site asks for none. */
  token?(): string | null | Promise<string | null>;
  /** What to keep a mirror of from the start. Documents and watches add what they need. */
  readonly subscribe?: Wanted;
  /**
   * Reads see this session's own writes, and nothing older than it has read, whichever gateway answers: each read that
   * names no consistency carries the highest position seen.
   */
  readonly readYourWrites?: boolean;
  /**
   * What this device takes along when a gateway of another site answers than the one that it knows. `none`, unless given:
   * nothing, WRONG_CLUSTER, for whether one site's documents may be shown to another only the app can tell. `documents`:
   * every document that is here, whichever site it came from; writes of keys stay, and wait for their own site.
   */
  readonly roaming?: Roams;
  /** This session's stream and actor. Drawn afresh unless given; never give one that another session may use (D4). */
  readonly link?: LinkId;
  /** Snapshots of documents are frozen: for development. */
  readonly freeze?: boolean;
  /** Granted to everyone unless given: right where one process has the store to itself. */
  readonly claim?: Claim;
  /** Other sessions of this device, which show what this one has stored; none, unless given. */
  readonly neighbours?: NeighboursPort;
  /** Called at the end of `stop`: lets go of what `connect` uses. */
  stopped?(): Promise<void>;
}

/** How far what this session subscribes to is on this device. */
export type SyncProgress =
  /** All of it is here as of the cursor, and what changes comes as it does. */
  | { readonly kind: "streaming" }
  /** Some of it has not begun to come: it is asked for, or there is no connection. */
  | { readonly kind: "waiting" }
  /**
   * A snapshot comes, of all of it or of what was added: so many keys and changes of documents so far, over connections and
   * sessions. `expected`: about how many there are in all, null where the gateway does not tell.
   */
  | { readonly kind: "snapshot"; readonly received: number; readonly expected: number | null };

export interface ClientStatus {
  readonly link: LinkState;
  readonly sync: SyncProgress;
  /** The site's name, once it was met. */
  readonly cluster: ClusterId | null;
  /** Edits of this device that are not yet at the site. */
  readonly unsynced: number;
  /** Edits that the site refused for good. */
  readonly failed: number;
  /** Received changes that are kept out of their documents: their handles say why. At most 10,000 are counted. */
  readonly quarantined: number;
  /** The site's ledger is mirrored here up to this revision. */
  readonly cursor: Revision;
  /** The site's parent holds the site's ledger up to this revision. */
  readonly upstream: Revision;
  readonly storage: StorageStatus;
  /**
   * What is wrong now: what could not be stored, until it can be; else why there is no connection; else what the site answered
   * badly. Null where nothing is.
   */
  readonly lastError: OpenClawError | null;
}

/** What a client counts, since it was opened. */
export interface ClientMetrics {
  /** Connections that a gateway welcomed, and tries that came to nothing or ended before. */
  readonly connections: number;
  readonly failedConnections: number;
  /** Questions of the app. */
  readonly asks: number;
  /** Those that failed and were asked again; for which the retry budget was used up; that had no answer in their time. */
  readonly retries: number;
  readonly retriesRefused: number;
  readonly deadlinesPassed: number;
  /** Of 10: above 5 a question that failed is asked again. */
  readonly retryTokens: number;
  readonly gateways: readonly GatewayState[];
}
