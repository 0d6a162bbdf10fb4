/**
 * Raft between the nodes of one cluster, over libp2p: `/openclaw/raft/1` carries batches of messages one way, each pair
 * of nodes having a stream each way; `/openclaw/snapshot/1` carries snapshots. Who is let in is decided by credential
 * (R10), never by a member list; Raft itself knows who votes.
 */
import type { Connection, Stream } from "@libp2p/interface";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import type {
  Clock,
  Random,
  SnapshotChunks,
  SnapshotHeader,
  Transport,
  TransportHandlers,
} from "@openclaw/core/ports.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { decodeMessages } from "@openclaw/core/raft/message-codec.ts";
import { type PeerLocation, parsePeerId } from "./address.ts";
import { acceptAdmitted, dialAdmitted, type Guest, type Meeting } from "./admitted-stream.ts";
import { asError, type FrameStream } from "./frame.ts";
import { Handshake, type HandshakeOptions } from "./handshake.ts";
import type { Host } from "./host.ts";
import { RAFT_STREAMS_MAX } from "./limits.ts";
import type { NetworkLog } from "./network-log.ts";
import { newRaftCounters, type RaftCounters } from "./raft-counters.ts";
import { RaftLink } from "./raft-link.ts";
import { receiveSnapshot, sendSnapshot } from "./snapshot-stream.ts";

export const RAFT_PROTOCOL = "/openclaw/raft/1";
export const SNAPSHOT_PROTOCOL = "/openclaw/snapshot/1";

export interface RaftTransportOptions extends HandshakeOptions {
  readonly host: Host;
  /** How to reach a node; null if that is not known, and then what is for it is dropped. */
  readonly locate: (node: NodeId) => PeerLocation | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: NetworkLog;
}

/** Strangers may knock as often as they like; the log gets one line in this time, with how many it stands for. */
const REFUSAL_LOG_MS = 1_000;
/** The connection pruner closes the lowest tags first. */
const MEMBER_TAG = { "openclaw-member": { value: 100 } };

export class RaftTransport implements Transport {
  readonly counters: RaftCounters = newRaftCounters();
  readonly #options: RaftTransportOptions;
  readonly #meeting: Meeting;
  readonly #handshake: Handshake;
  readonly #links = new Map<NodeId, RaftLink>();
  /** One stream in from each node: a newer one takes its place. */
  readonly #inbound = new Map<NodeId, FrameStream>();
  readonly #stopping = new AbortController();
  #handlers: TransportHandlers | null = null;
  #receivingSnapshot = false;
  #refusalLogged = Number.NEGATIVE_INFINITY;
  #refusalsUnlogged = 0;

  private constructor(options: RaftTransportOptions) {
    this.#options = options;
    this.#handshake = new Handshake(options);
    this.#meeting = { host: options.host, handshake: this.#handshake, clock: options.clock };
  }

  /** Takes streams from now on; they are refused until `receive` has been called. */
  static async open(options: RaftTransportOptions): Promise<RaftTransport> {
    const transport = new RaftTransport(options);
    await options.host.handle(RAFT_PROTOCOL, transport.#onRaftStream, {
      maxInboundStreams: RAFT_STREAMS_MAX,
      maxOutboundStreams: RAFT_STREAMS_MAX,
    });
    await options.host.handle(SNAPSHOT_PROTOCOL, transport.#onSnapshotStream, {
      maxInboundStreams: RAFT_STREAMS_MAX,
      maxOutboundStreams: RAFT_STREAMS_MAX,
    });
    return transport;
  }

  receive(handlers: TransportHandlers): void {
    this.#handlers = handlers;
  }

  send(to: NodeId, messages: readonly RaftMessage[]): void {
    if (messages.length === 0) return;
    const link = this.#links.get(to) ?? this.#newLink(to);
    if (link === null) this.counters.droppedUnreachable += messages.length;
    else link.send(messages);
  }

  /**
   * Dials these nodes. One of them may be a leader that found us down and pauses before it tries again: that we are here
   * ends its pause, and a node that starts hears of its leader before it would begin an election.
   */
  greet(nodes: readonly NodeId[]): void {
    for (const node of nodes) (this.#links.get(node) ?? this.#newLink(node))?.connect();
  }

  async sendSnapshot(to: NodeId, header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> {
    const location = this.#options.locate(to);
    if (location === null) throw new OpenClawError("UNAVAILABLE", `nobody knows where ${to} is`);
    try {
      const frames = await dialAdmitted(this.#meeting, to, location, SNAPSHOT_PROTOCOL, this.#stopping.signal);
      const { clock } = this.#options;
      const sending = { handshake: this.#handshake, clock, to, remotePeer: location.peer };
      await sendSnapshot(frames, sending, header, this.#told(to, header, chunks, "sending a snapshot"));
    } catch (error) {
      if (error instanceof OpenClawError && error.code === "UNAVAILABLE") throw error;
      throw new OpenClawError("UNAVAILABLE", `snapshot to ${to}: ${asError(error).message}`, { cause: error });
    }
    this.counters.snapshotsSent++;
    this.#options.log.info({ peer: to, index: header.meta.index, bytes: header.bytes }, "a follower has the snapshot");
  }

  /** The state of each way out, for status and metrics. */
  links(): readonly { readonly peer: NodeId; readonly state: string; readonly queued: number }[] {
    return [...this.#links].map(([peer, link]) => ({ peer, state: link.state, queued: link.queued }));
  }

  async stop(): Promise<void> {
    this.#handlers = null;
    this.#stopping.abort(new OpenClawError("STOPPED"));
    await this.#options.host.unhandle([RAFT_PROTOCOL, SNAPSHOT_PROTOCOL]);
    for (const link of this.#links.values()) link.stop();
    for (const frames of this.#inbound.values()) frames.abort(new OpenClawError("STOPPED"));
  }

  #newLink(to: NodeId): RaftLink | null {
    const location = this.#options.locate(to);
    if (location === null || to === this.#options.node || this.#stopping.signal.aborted) return null;
    const { clock, random, log } = this.#options;
    const link = new RaftLink({
      peer: to,
      stamp: this.#handshake.stamp,
      dial: async (signal) => {
        // Asked anew each time: addresses change.
        const now = this.#options.locate(to) ?? location;
        const frames = await dialAdmitted(this.#meeting, to, now, RAFT_PROTOCOL, signal);
        this.#keep(now.peer);
        return frames;
      },
      readRefusal: (frame) => {
        this.#handshake.readAnswer(frame, location.peer, to);
        throw new OpenClawError("MALFORMED_FRAME", `${to} answers where nothing was asked`);
      },
      clock,
      random,
      counters: this.counters,
      onDown: (error) => log.info({ peer: to, ...described(error) }, "raft link down"),
    });
    this.#links.set(to, link);
    return link;
  }

  readonly #onRaftStream = (stream: Stream, connection: Connection): void => {
    acceptAdmitted(this.#meeting, stream, connection, (guest) => this.#enter(guest, connection), this.#refused);
  };

  #enter(guest: Guest, connection: Connection): void {
    const { frames, node } = guest;
    this.#required();
    this.#keep(connection.remotePeer.toString());
    this.#inbound.get(node)?.abort(new OpenClawError("UNAVAILABLE", `${node} opened a newer stream`));
    this.#inbound.set(node, frames);
    this.#links.get(node)?.wake();
    frames.receive({
      message: (frame) => {
        const messages = this.#decode(frame, node);
        this.counters.framesReceived++;
        this.counters.messagesReceived += messages.length;
        this.counters.bytesReceived += frame.length;
        this.#handlers?.messages(messages);
      },
      drained: () => undefined,
      closed: (reason) => {
        if (this.#inbound.get(node) === frames) this.#inbound.delete(node);
        this.#ended(node, reason);
      },
      lastWord: (error) => this.#handshake.refusal(error),
    });
  }

  #decode(frame: Uint8Array, from: NodeId): readonly RaftMessage[] {
    const messages = decodeMessages(this.#handshake.unstamp(frame, from));
    for (const message of messages) {
      if (message.from !== from || message.to !== this.#options.node) {
        throw new OpenClawError("MALFORMED_FRAME", `${from} sends a message from ${message.from} to ${message.to}`);
      }
    }
    return messages;
  }

  readonly #onSnapshotStream = (stream: Stream, connection: Connection): void => {
    const enter = (guest: Guest): void => {
      const handlers = this.#required();
      if (this.#receivingSnapshot) throw new OpenClawError("OVERLOADED", "a snapshot is being received");
      this.#receivingSnapshot = true;
      const stage = async (header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> => {
        await handlers.snapshot(header, this.#told(guest.node, header, chunks, "receiving a snapshot"));
        this.counters.snapshotsReceived++;
        this.#options.log.info({ peer: guest.node, index: header.meta.index, bytes: header.bytes }, "took a snapshot");
      };
      void receiveSnapshot(guest, this.#handshake, this.#options.clock, stage).then((reason) => {
        this.#receivingSnapshot = false;
        this.#ended(guest.node, reason);
      });
    };
    acceptAdmitted(this.#meeting, stream, connection, enter, this.#refused);
  };

  /** The same chunks; when they begin to flow the log has a line of it. */
  #told(peer: NodeId, { meta, bytes }: SnapshotHeader, chunks: SnapshotChunks, text: string): SnapshotChunks {
    return (from) => {
      this.#options.log.info({ peer, index: meta.index, bytes, from }, text);
      return chunks(from);
    };
  }

  #required(): TransportHandlers {
    if (this.#handlers === null) throw new OpenClawError("UNAVAILABLE", "the node is starting or stopping");
    return this.#handlers;
  }

  #ended(node: NodeId, reason: Error | null): void {
    // Stopping and replacing are on purpose; libp2p's own errors are a peer that died, and the way to it reports that.
    if (!(reason instanceof OpenClawError) || reason.code === "STOPPED" || reason.code === "UNAVAILABLE") return;
    if (reason.code === "MALFORMED_FRAME" || reason.code === "FRAME_TOO_LARGE") this.counters.malformed++;
    this.#options.log.warn({ peer: node, ...described(reason) }, "closed a stream of a peer");
  }

  readonly #refused = (error: Error, remotePeer: string): void => {
    this.counters.refused++;
    this.#refusalsUnlogged++;
    const now = this.#options.clock.now();
    if (now - this.#refusalLogged < REFUSAL_LOG_MS) return;
    this.#refusalLogged = now;
    this.#options.log.warn({ remotePeer, count: this.#refusalsUnlogged, ...described(error) }, "refused a peer");
    this.#refusalsUnlogged = 0;
  };

  #keep(peer: string): void {
    this.#options.host.peerStore.merge(parsePeerId(peer), { tags: MEMBER_TAG }).catch((error: unknown) => {
      this.#options.log.warn({ peer, ...described(asError(error)) }, "could not mark a connection as a member's");
    });
  }
}

const described = (error: Error): { readonly code: string; readonly reason: string } => ({
  code: error instanceof OpenClawError ? error.code : error.name,
  reason: error.message,
});
