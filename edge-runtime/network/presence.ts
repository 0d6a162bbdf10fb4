/**
 * R11. Who is there, by gossip: for dashboards and hints, never for a decision. Messages are signed by their author
 * (StrictSign), and carry the author's credential, so that only nodes of clusters we know can appear in the table.
 */
import { type Message, TopicValidatorResult } from "@chainsafe/libp2p-gossipsub";
import { equalBytes } from "@openclaw/core/bytes.ts";
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import {
  type ClusterId,
  type Index,
  index,
  isClusterId,
  isNodeId,
  type NodeId,
  type Revision,
  revision,
  type Term,
  term,
} from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import type { Role } from "@openclaw/core/raft/ready.ts";
import { verifyCredential } from "./credential.ts";
import { asError } from "./frame.ts";
import type { Host } from "./host.ts";
import type { ClusterPublicKey } from "./identity.ts";
import * as limits from "./limits.ts";
import type { NetworkLog } from "./network-log.ts";

export const PRESENCE_TOPIC = "openclaw/presence/1";
const PRESENCE_VERSION = 1;

export interface Presence {
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly role: Role;
  readonly leader: NodeId | null;
  readonly term: Term;
  readonly revision: Revision;
  readonly applied: Index;
  /** Where its HTTP API is, as others reach it. */
  readonly http: string;
  /** S5: its disk budget is used up. */
  readonly full: boolean;
  /** The author's wall clock, ms since 1970. */
  readonly at: number;
}

export interface PresenceRow extends Presence {
  /** The author's libp2p peer id. */
  readonly peer: string;
  /** Ms since it was heard. */
  readonly ageMs: number;
}

export interface PresenceOptions {
  readonly host: Host;
  readonly clock: Clock;
  readonly log: NetworkLog;
  readonly credential: Uint8Array;
  /** The key of a cluster whose nodes may appear here: our own, our parent's, our children's. */
  readonly clusterKey: (cluster: ClusterId) => ClusterPublicKey | null;
  /** The peer to which our own cluster has bound a name, as far as this node knows; null if to none. */
  readonly peerOf: (cluster: ClusterId, node: NodeId) => string | null;
  /** What to say of this node now. */
  readonly self: () => Presence;
}

interface Heard {
  readonly row: Omit<PresenceRow, "ageMs">;
  /** Monotonic: a row expires by our clock, not its author's. */
  readonly heard: number;
  /** Checked once: the same bytes of the same peer need no second look. */
  readonly credential: Uint8Array;
}

const ROLES: readonly Role[] = ["follower", "preCandidate", "candidate", "leader"];
const isRole = (value: unknown): value is Role => ROLES.some((role) => role === value);
const HTTP_LENGTH_MAX = 256;
const isAddress = (value: unknown): value is string => typeof value === "string" && value.length <= HTTP_LENGTH_MAX;

export class PresenceGossip {
  readonly #options: PresenceOptions;
  /** By cluster and node, in the order of hearing: the first one is the oldest. */
  readonly #heard = new Map<string, Heard>();
  readonly #listeners = new Set<() => void>();
  #running = false;
  #published = Number.NEGATIVE_INFINITY;
  #cancelPublish: () => void = () => undefined;
  #cancelSweep: () => void = () => undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = true;
    const { gossip } = this.#options.host.services;
    // The validator sees each message once, after its signature was checked and before it is passed on.
    gossip.topicValidators.set(PRESENCE_TOPIC, (_peer, message) => this.#validate(message));
    gossip.subscribe(PRESENCE_TOPIC);
    this.#publish();
    this.#sweep();
  }

  stop(): void {
    this.#running = false;
    this.#cancelPublish();
    this.#cancelSweep();
    const { gossip } = this.#options.host.services;
    gossip.unsubscribe(PRESENCE_TOPIC);
    gossip.topicValidators.delete(PRESENCE_TOPIC);
  }

  /** The state of this node has changed: say so soon. */
  changed(): void {
    if (!this.#running) return;
    const due = this.#published + limits.PRESENCE_PAUSE_MS - this.#options.clock.now();
    if (due <= 0) this.#publish();
    else this.#publishAfter(due);
  }

  /** Nodes heard of in the last 10 s, this one included. */
  rows(): readonly PresenceRow[] {
    const now = this.#options.clock.now();
    return [...this.#heard.values()]
      .map(({ row, heard }) => ({ ...row, ageMs: now - heard }))
      .filter(({ ageMs }) => ageMs <= limits.PRESENCE_EXPIRES_MS);
  }

  /** The same of one cluster. */
  rowsOf(cluster: ClusterId): readonly PresenceRow[] {
    return this.rows().filter((row) => row.cluster === cluster);
  }

  /** Calls back when a row came, changed or went; the returned function ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #publish(): void {
    const { host, clock, credential, self, log } = this.#options;
    const presence = self();
    this.#published = clock.now();
    this.#remember({ ...presence, peer: host.peerId.toString() }, credential);
    host.services.gossip.publish(PRESENCE_TOPIC, encodePresence(presence, credential)).catch((error: unknown) => {
      // Gossip may fail; the next message comes in two seconds.
      log.info({ reason: asError(error).message }, "presence was not published");
    });
    this.#publishAfter(limits.PRESENCE_EVERY_MS);
  }

  #publishAfter(ms: number): void {
    this.#cancelPublish();
    this.#cancelPublish = this.#options.clock.after(ms, () => this.#publish());
  }

  #validate(message: Message): TopicValidatorResult {
    if (message.type !== "signed" || message.data.length > limits.GOSSIP_BYTES_MAX) return TopicValidatorResult.Reject;
    try {
      const { presence, credential } = decodePresence(message.data);
      const { cluster, node } = presence;
      const clusterKey = this.#options.clusterKey(cluster);
      // Somebody's, but not ours to judge.
      if (clusterKey === null) return TopicValidatorResult.Ignore;
      const peer = message.from.toString();
      const known = this.#heard.get(`${cluster}/${node}`);
      if (known === undefined || known.row.peer !== peer || !equalBytes(known.credential, credential)) {
        const admitted = verifyCredential(credential, {
          cluster,
          clusterKey,
          remotePeer: peer,
          peerOf: (name) => this.#options.peerOf(cluster, name),
        });
        if (admitted.node !== node) return TopicValidatorResult.Reject;
      }
      // Overtaken on the way. A clock that was set back is believed again when the row has expired.
      if (known !== undefined && known.row.peer === peer && presence.at < known.row.at)
        return TopicValidatorResult.Accept;
      this.#remember({ ...presence, peer }, credential);
      return TopicValidatorResult.Accept;
    } catch (error) {
      if (error instanceof OpenClawError) return TopicValidatorResult.Reject;
      throw error;
    }
  }

  #remember(row: Omit<PresenceRow, "ageMs">, credential: Uint8Array): void {
    const name = `${row.cluster}/${row.node}`;
    this.#heard.delete(name);
    if (this.#heard.size >= limits.PRESENCE_ROWS_MAX) {
      const [oldest] = this.#heard.keys();
      if (oldest !== undefined) this.#heard.delete(oldest);
    }
    this.#heard.set(name, { row, heard: this.#options.clock.now(), credential });
    this.#tell();
  }

  #sweep(): void {
    this.#cancelSweep = this.#options.clock.after(limits.PRESENCE_EVERY_MS / 2, () => {
      const oldest = this.#options.clock.now() - limits.PRESENCE_EXPIRES_MS;
      let gone = 0;
      for (const [name, { heard }] of this.#heard) {
        if (heard >= oldest) break;
        this.#heard.delete(name);
        gone++;
      }
      if (gone > 0) this.#tell();
      this.#sweep();
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

const encodePresence = (presence: Presence, credential: Uint8Array): Uint8Array =>
  encode([
    PRESENCE_VERSION,
    presence.cluster,
    presence.node,
    presence.role,
    presence.leader,
    presence.term,
    presence.revision,
    presence.applied,
    presence.http,
    presence.full,
    presence.at,
    credential,
  ]);

function decodePresence(bytes: Uint8Array): { readonly presence: Presence; readonly credential: Uint8Array } {
  const fields = new TupleReader(decode(bytes), "presence");
  const version = fields.count();
  if (version !== PRESENCE_VERSION) throw new OpenClawError("UNKNOWN_VERSION", `presence version ${version}`);
  const presence: Presence = {
    cluster: fields.that(isClusterId, "a cluster's name"),
    node: fields.that(isNodeId, "a node's name"),
    role: fields.that(isRole, "a role"),
    leader: fields.orNull((reader) => reader.that(isNodeId, "a node's name")),
    term: term(fields.count()),
    revision: revision(fields.count()),
    applied: index(fields.count()),
    http: fields.that(isAddress, "an address"),
    full: fields.flag(),
    at: fields.count(),
  };
  const credential = fields.bytes();
  fields.end();
  return { presence, credential };
}
