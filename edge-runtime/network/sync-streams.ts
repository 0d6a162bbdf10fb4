/** `/openclaw/sync/1`: the bytes under the sync protocol. Who the child is and what it may do is decided above. */
import type { Connection, Stream } from "@libp2p/interface";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import { parseMultiaddr } from "./address.ts";
import { openStream } from "./dial.ts";
import { FrameStream } from "./frame.ts";
import type { Host } from "./host.ts";
import { SYNC_HELLO_BYTES_MAX, SYNC_STREAMS_MAX, SYNC_STREAMS_TOTAL_MAX } from "./limits.ts";

export const SYNC_PROTOCOL = "/openclaw/sync/1";

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
  const stream = await openStream(host, addresses.map(parseMultiaddr), SYNC_PROTOCOL, signal);
  const connection = host.getConnections().find((candidate) => candidate.streams.includes(stream));
  if (connection === undefined) {
    const reason = new OpenClawError("UNAVAILABLE", "the connection closed while it was opened");
    stream.abort(reason);
    throw reason;
  }
  return syncStream(new FrameStream(stream), connection);
}

/**
 * Takes sync streams of children. `onConnection` calls `receive` in the same turn or later: nothing is read before.
 * The returned function ends it; open streams live on.
 */
export async function handleSync(host: Host, onConnection: (stream: SyncStream) => void): Promise<() => Promise<void>> {
  let open = 0;
  await host.handle(
    SYNC_PROTOCOL,
    (stream: Stream, connection: Connection) => {
      if (stream.status !== "open") return;
      if (open >= SYNC_STREAMS_TOTAL_MAX) {
        stream.abort(new OpenClawError("OVERLOADED", `${open} sync streams`));
        return;
      }
      open++;
      stream.addEventListener("close", () => open--, { once: true });
      onConnection(syncStream(new FrameStream(stream, SYNC_HELLO_BYTES_MAX), connection));
    },
    { maxInboundStreams: SYNC_STREAMS_MAX, maxOutboundStreams: SYNC_STREAMS_MAX },
  );
  return () => host.unhandle(SYNC_PROTOCOL);
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
