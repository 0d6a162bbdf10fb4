/**
 * The bytes under the sync protocol. Who the child is and what it may do is decided above. Clients speak `/openclaw/sync/1`.
 * A cluster speaks `/openclaw/uplink/1` to its parent, where frames are compressed; what goes over it is counted.
 */
import type { Connection, Stream } from "@libp2p/interface";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { FRAME_BYTES_MAX } from "@openclaw/core/limits.ts";
import { FRAME_HEAD_BYTES } from "@openclaw/core/sync/frame.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import { parseMultiaddr } from "./address.ts";
import { openStream } from "./dial.ts";
import { FrameStream } from "./frame.ts";
import { packFrame, unpackFrame } from "./frame-compression.ts";
import type { Host } from "./host.ts";
import { SYNC_HELLO_BYTES_MAX, SYNC_STREAMS_MAX, SYNC_STREAMS_TOTAL_MAX } from "./limits.ts";

export const SYNC_PROTOCOL = "/openclaw/sync/1";
const UPLINK_PROTOCOL = "/openclaw/uplink/1";

/** Frames of encoded sync messages. `send` @throws OpenClawError FRAME_TOO_LARGE */
export interface SyncStream extends FrameConnection<Uint8Array, Uint8Array> {
  /** The libp2p peer id that Noise proved. */
  readonly remotePeer: string;
}

/**
 * Opens a sync stream to a parent. Addresses all name the same peer, or none does.
 * @throws OpenClawError UNAVAILABLE, CONFIG_INVALID
 */
export async function dialSync(host: Host, addresses: readonly string[], signal: AbortSignal): Promise<SyncStream> {
  const { stream, connection } = await dialled(host, addresses, SYNC_PROTOCOL, signal);
  return syncStream(new FrameStream(stream), connection);
}

/**
 * The same to the parent of this cluster.
 * @param traffic counts what goes over it, from now on
 * @throws OpenClawError UNAVAILABLE, CONFIG_INVALID
 */
export async function dialParent(
  host: Host,
  addresses: readonly string[],
  traffic: TrafficCounter,
  signal: AbortSignal,
): Promise<SyncStream> {
  const { stream, connection } = await dialled(host, addresses, UPLINK_PROTOCOL, signal);
  return compressed(new FrameStream(stream), connection, FRAME_BYTES_MAX, traffic);
}

async function dialled(
  host: Host,
  addresses: readonly string[],
  protocol: string,
  signal: AbortSignal,
): Promise<{ readonly stream: Stream; readonly connection: Connection }> {
  const stream = await openStream(host, addresses.map(parseMultiaddr), protocol, signal);
  const connection = host.getConnections().find((candidate) => candidate.streams.includes(stream));
  if (connection !== undefined) return { stream, connection };
  const reason = new OpenClawError("UNAVAILABLE", "the connection closed while it was opened");
  stream.abort(reason);
  throw reason;
}

/**
 * Takes sync streams of children. `onConnection` calls `receive` in the same turn or later: nothing is read before.
 * The returned function ends it; open streams live on. `refused` hears of those that are too many.
 */
export async function handleSync(
  host: Host,
  onConnection: (stream: SyncStream) => void,
  refused: (error: OpenClawError, remotePeer: string) => void,
): Promise<() => Promise<void>> {
  let open = 0;
  const handle = (protocol: string, over: (frames: FrameStream, connection: Connection) => SyncStream): Promise<void> =>
    host.handle(
      protocol,
      (stream: Stream, connection: Connection) => {
        if (stream.status !== "open") return;
        if (open >= SYNC_STREAMS_TOTAL_MAX) {
          const error = new OpenClawError("OVERLOADED", `${open} sync streams`);
          stream.abort(error);
          refused(error, connection.remotePeer.toString());
          return;
        }
        open++;
        stream.addEventListener("close", () => open--, { once: true });
        onConnection(over(new FrameStream(stream, SYNC_HELLO_BYTES_MAX), connection));
      },
      { maxInboundStreams: SYNC_STREAMS_MAX, maxOutboundStreams: SYNC_STREAMS_MAX },
    );
  await handle(SYNC_PROTOCOL, syncStream);
  await handle(UPLINK_PROTOCOL, (frames, connection) =>
    compressed(frames, connection, SYNC_HELLO_BYTES_MAX, new TrafficCounter()),
  );
  return async () => {
    await host.unhandle([SYNC_PROTOCOL, UPLINK_PROTOCOL]);
  };
}

function syncStream(frames: FrameStream, connection: Connection): SyncStream {
  let admitted = false;
  return {
    remotePeer: connection.remotePeer.toString(),
    send: (message) => frames.send(message),
    receive: (handlers) => {
      frames.receive({
        message: (payload) => {
          // A child's hello is small; who has been listened to once may send frames of any size.
          if (!admitted) frames.admit();
          admitted = true;
          handlers.message(payload);
        },
        drained: () => handlers.drained(),
        closed: (reason) => handlers.closed(reason),
      });
    },
    close: () => frames.close(),
  };
}

/** @param limitBytes what a frame may hold, also inflated, until somebody listened to the first one */
function compressed(
  frames: FrameStream,
  connection: Connection,
  limitBytes: number,
  traffic: TrafficCounter,
): SyncStream {
  const stream = syncStream(frames, connection);
  let limit = limitBytes;
  return {
    remotePeer: stream.remotePeer,
    send: (message) => {
      const packed = packFrame(message);
      traffic.sent += FRAME_HEAD_BYTES + packed[0].length + packed[1].length;
      return frames.send(...packed);
    },
    receive: (handlers) =>
      stream.receive({
        message: (payload) => {
          traffic.received += FRAME_HEAD_BYTES + payload.length;
          const message = unpackFrame(payload, limit);
          limit = FRAME_BYTES_MAX;
          handlers.message(message);
        },
        drained: () => handlers.drained(),
        closed: (reason) => handlers.closed(reason),
      }),
    close: () => stream.close(),
  };
}

/** Bytes of frames with their heads; what Yamux, Noise and TCP add is not in it. */
export class TrafficCounter {
  sent = 0;
  received = 0;
}
