/** A member's side of a join: checks who asks, notes where it is, and asks the group to take it in. */
import type { Connection, Stream } from "@libp2p/interface";
import { asOpenClawError, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId, Epoch, NodeId } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import type { Replica } from "@openclaw/core/replica.ts";
import type { MemberDirectory } from "../members.ts";
import { requireLoopback } from "./address.ts";
import { verifyCredential } from "./credential.ts";
import { FrameStream } from "./frame.ts";
import type { Host } from "./host.ts";
import type { ClusterPublicKey } from "./identity.ts";
import {
  type Admitted,
  decodeRequest,
  encodeAnswer,
  JOIN_BYTES_MAX,
  JOIN_PROTOCOL,
  type JoinRequest,
} from "./join-protocol.ts";
import { HANDSHAKE_TIMEOUT_MS, JOIN_STREAMS_MAX, JOINS_PER_MINUTE_MAX } from "./limits.ts";
import type { NetworkLog } from "./network-log.ts";

/** For each of the two steps. */
const STEP_MS = 10_000;
const MINUTE_MS = 60_000;

export interface JoinServiceOptions {
  readonly host: Host;
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly epoch: Epoch;
  readonly credential: Uint8Array;
  readonly clusterKey: ClusterPublicKey;
  readonly replica: Pick<Replica, "propose" | "changeMembership">;
  readonly directory: MemberDirectory;
  /** What a new node's configuration has in common with ours, as JSON. */
  readonly shared: string;
  /** False when nobody is asked for a token: then a new node binds loopback only (X2). */
  readonly secured: boolean;
  readonly clock: Clock;
  readonly log: NetworkLog;
}

export class JoinService {
  readonly #options: JoinServiceOptions;
  #open = 0;
  #minute = Number.NEGATIVE_INFINITY;
  #thisMinute = 0;

  private constructor(options: JoinServiceOptions) {
    this.#options = options;
  }

  static async open(options: JoinServiceOptions): Promise<JoinService> {
    const service = new JoinService(options);
    await options.host.handle(JOIN_PROTOCOL, service.#onStream, {
      maxInboundStreams: JOIN_STREAMS_MAX,
      maxOutboundStreams: JOIN_STREAMS_MAX,
    });
    return service;
  }

  async stop(): Promise<void> {
    await this.#options.host.unhandle(JOIN_PROTOCOL);
  }

  readonly #onStream = (stream: Stream, connection: Connection): void => {
    const remotePeer = connection.remotePeer.toString();
    const frames = new FrameStream(stream, JOIN_BYTES_MAX);
    this.#open++;
    const cancelTimer = this.#options.clock.after(HANDSHAKE_TIMEOUT_MS, () => {
      frames.abort(new OpenClawError("UNAVAILABLE", "no request came"));
    });
    let asked = false;
    frames.receive({
      message: (bytes) => {
        cancelTimer();
        if (asked) throw new OpenClawError("MALFORMED_FRAME", "a second request on one stream");
        asked = true;
        const request = this.#admitted(bytes);
        void this.#answer(request, remotePeer).then((answer) => {
          frames.send(answer);
          frames.close();
        });
      },
      drained: () => undefined,
      closed: () => {
        cancelTimer();
        this.#open--;
      },
      lastWord: (error) => this.#refusal(error),
    });
  };

  /** @throws OpenClawError OVERLOADED, MALFORMED_FRAME, UNKNOWN_VERSION */
  #admitted(bytes: Uint8Array): JoinRequest {
    const now = this.#options.clock.now();
    if (now - this.#minute >= MINUTE_MS) {
      this.#minute = now;
      this.#thisMinute = 0;
    }
    if (this.#open > JOIN_STREAMS_MAX || ++this.#thisMinute > JOINS_PER_MINUTE_MAX) {
      throw new OpenClawError("OVERLOADED", "too many ask to join; wait a minute");
    }
    return decodeRequest(bytes);
  }

  async #answer(request: JoinRequest, remotePeer: string): Promise<Uint8Array> {
    const { log, credential } = this.#options;
    try {
      const admitted = await this.#join(request, remotePeer);
      return encodeAnswer({ credential, admitted });
    } catch (error) {
      const why = asOpenClawError(error);
      log.warn({ remotePeer, code: why.code, reason: why.message }, "a node could not join");
      return this.#refusal(why);
    }
  }

  async #join({ cluster, credential, place, supports }: JoinRequest, remotePeer: string): Promise<Admitted> {
    const { clusterKey, directory, replica, node: self, log, secured } = this.#options;
    if (cluster !== this.#options.cluster) throw new OpenClawError("WRONG_CLUSTER", `this is ${this.#options.cluster}`);
    const peerOf = (name: NodeId): string | null => directory.peerOf(name);
    const { node, invitation } = verifyCredential(credential, { cluster, clusterKey, remotePeer, peerOf });
    if (place.peer !== remotePeer) throw new OpenClawError("NOT_ADMITTED", "a node speaks for itself only");
    if (!secured) requireLoopback(place.addresses);
    const how = { principal: `node:${self}`, timeoutMs: STEP_MS };
    const result = await replica.propose({ kind: "noteMember", node, place, supports }, how);
    if (result.kind === "memberNoted" && result.refused !== null) {
      throw new OpenClawError(result.refused.code, result.refused.details);
    }
    const replaces = this.#stillThere(invitation?.replaces ?? null);
    await replica.changeMembership({ kind: "add", node, replaces }, STEP_MS);
    log.info({ member: node, peer: remotePeer, replaces }, "a node joins");
    await directory.refresh();
    const members = directory.list().filter((member) => member.node !== node);
    return { epoch: this.#options.epoch, members, shared: this.#options.shared };
  }

  /** Whom somebody has removed meanwhile need not be replaced any more. */
  #stillThere(replaced: NodeId | null): NodeId | null {
    const row = this.#options.directory.rows().find(({ node }) => node === replaced);
    return row?.standing === "removed" ? null : replaced;
  }

  #refusal({ code, details }: OpenClawError): Uint8Array {
    return encodeAnswer({ credential: this.#options.credential, code, details });
  }
}
