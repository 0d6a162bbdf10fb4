/** X1. Every limit of the network, in one place: libp2p's and Yamux's defaults are either too small or none at all. */
import { BATCH_BYTES_MAX, FRAME_BYTES_MAX, PRESENCE_GOSSIP_BYTES_MAX } from "@openclaw/core/limits.ts";

// Connections
/** Open connections of a host. A gateway has its peers, its parent and one connection for each browser. */
export const CONNECTIONS_MAX = 512;
/** New connections a second from one address: a whole fleet and its browsers may share a loopback or a NAT. */
export const CONNECTIONS_PER_SECOND_MAX = 64;
/**
 * Connections that have not finished Noise and Yamux. Few: when a whole fleet comes back at once to a node that has little
 * CPU left, so many get through before their dial times out; of more, all run out of time together (docs/scale.md).
 */
export const PENDING_CONNECTIONS_MAX = 16;
/** Dials at once, and waiting. */
export const DIALS_MAX = 16;
export const DIALS_WAITING_MAX = 128;
/** Addresses tried for one peer. */
export const ADDRESSES_MAX = 16;
export const DIAL_TIMEOUT_MS = 5_000;
/** Both ends ping this often; a socket that is silent for `SOCKET_IDLE_MS` is dead. */
export const KEEP_ALIVE_MS = 10_000;
export const SOCKET_IDLE_MS = 60_000;
/** A ping may take this long on a busy machine before its connection is given up. */
export const PING_TIMEOUT_MS = 10_000;

// Streams
/** Streams of one connection, each way. */
export const STREAMS_MAX = 128;
/** Streams that Yamux holds before a connection is ready for them. */
export const EARLY_STREAMS_MAX = 16;
/** What a peer may send before we have read: Yamux's receive window, which grows up to this. */
export const STREAM_WINDOW_BYTES_MAX = 1_048_576;
/**
 * A stream that holds more unread bytes is reset. It must exceed the window: a paused stream fills its whole window, and
 * by default Yamux lets the window grow to four times this limit.
 */
export const STREAM_READ_BYTES_MAX = 2 * STREAM_WINDOW_BYTES_MAX;
/** Bytes that wait for the peer's window. A frame more, and the stream is closed with OVERLOADED. */
export const STREAM_WRITE_BYTES_MAX = 2 * FRAME_BYTES_MAX;
/** The same limit for streams that are not ours (identify, gossip), and a second wall behind it for those that are. */
export const YAMUX_WRITE_BYTES_MAX = 4 * FRAME_BYTES_MAX;
/** Frames of one turn that wait to be written together; more are written at once. */
export const GATHERED_BYTES_MAX = 65_536;
/** Bytes of a stream's window that are given back late, with the next frame: far less than the smallest window, 256 KiB. */
export const HELD_WINDOW_BYTES_MAX = 65_536;
/**
 * Raft and sync streams are silent for as long as nothing happens. The largest delay a timer takes: liveness is a
 * matter of the connection's pings.
 */
export const STREAM_IDLE_MS = 2_147_483_647;
/** A stream that we closed and its peer did not is reset. */
export const STREAM_CLOSE_MS = 2_000;

// Handshakes
/** The first frame of a stranger. */
export const HELLO_BYTES_MAX = 2_048;
/** The first frame of a sync stream: names, a token, a subscription. */
export const SYNC_HELLO_BYTES_MAX = 262_144;
export const HANDSHAKE_TIMEOUT_MS = 5_000;

// Raft
/** Messages that wait for one peer. Over it they are dropped and counted: Raft sends again. */
export const PEER_QUEUE_MESSAGES_MAX = 8_192;
export const PEER_QUEUE_BYTES_MAX = 16 * BATCH_BYTES_MAX;
/** Inbound raft streams of one connection: one, and its successor while it closes. */
export const RAFT_STREAMS_MAX = 4;
/** Pause between two dials of a peer, doubled from the first to the last, with jitter. */
export const REDIAL_MS_MIN = 50;
export const REDIAL_MS_MAX = 2_000;
/** A peer that said no is asked again after this. */
export const REDIAL_REFUSED_MS = 5_000;

// Snapshots
/** Received bytes of a snapshot that wait for the disk; the stream is paused above it. */
export const SNAPSHOT_WAITING_BYTES_MAX = 2 * BATCH_BYTES_MAX;
/** No progress for this long ends a snapshot. */
export const SNAPSHOT_STALL_MS = 30_000;
/** A received snapshot is checked and staged within this. */
export const SNAPSHOT_STAGE_MS = 120_000;

// Sync
/** Sync streams of one connection: a browser's own, and those of dead sessions that it drains (D4). */
export const SYNC_STREAMS_MAX = 32;
/** Sync streams of a host, all connections together. */
export const SYNC_STREAMS_TOTAL_MAX = 1_024;

// Gossip
/** Bytes of one gossip message. */
export const GOSSIP_BYTES_MAX = 4_096;
/** Nodes in the presence table; the one heard longest ago leaves. */
export const PRESENCE_ROWS_MAX = 4_096;
export const PRESENCE_EVERY_MS = 2_000;
/** At most one publication in this time, however often the state changes. */
export const PRESENCE_PAUSE_MS = 200;
export const PRESENCE_EXPIRES_MS = 10_000;

// Presence of clients (R11)
/** Bytes of one message between gateways: its entries and what is around them. */
export const PRESENCE_GOSSIP_MESSAGE_BYTES_MAX = PRESENCE_GOSSIP_BYTES_MAX + 4_096;
/** Messages of one gateway a second: three times what it sends but when it stops. */
export const PRESENCE_MESSAGES_PER_SECOND_MAX = 60;
/** Messages of provisional changes (D5) of one gateway a second: twice what it sends. */
export const PROVISIONAL_MESSAGES_PER_SECOND_MAX = 500;
/** Streams, and connections, of peers that want to gossip and are no members, as far as this node knows. */
export const PRESENCE_STRANGERS_MAX = 16;

// Joining
/** Join streams of a host, and of one connection. */
export const JOIN_STREAMS_MAX = 4;
/** Requests of all peers together in one minute: a check of signatures and at most two proposals each. */
export const JOINS_PER_MINUTE_MAX = 60;
/** A member answers within this: two steps, each of which may wait for an election. */
export const JOIN_ANSWER_MS = 25_000;
