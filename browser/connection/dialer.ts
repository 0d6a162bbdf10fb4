/**
 * Dials gateways as libp2p does, of libp2p's own parts: a WebSocket, multistream-select, Noise, Yamux. What a whole libp2p
 * host has besides (connection manager, peer store, address book, discovery) would be more than half of a page's code, and
 * serves who does not know whom to dial. Loaded when the first dial is due.
 */
import { generateKeyPair } from "@libp2p/crypto/keys";
import type { ConnectionEncrypter, Logger, StreamMuxerFactory, Upgrader } from "@libp2p/interface";
import { select } from "@libp2p/multistream-select";
import { noise } from "@libp2p/noise";
import { peerIdFromPrivateKey, peerIdFromString } from "@libp2p/peer-id";
import { yamux } from "@libp2p/yamux";
import { InvariantViolation, OpenClawError } from "@openclaw/core/errors.ts";
import { socketAddress } from "./address.ts";
import { GatewayConnection } from "./gateway-connection.ts";
import { openSocket, SocketStream } from "./socket-stream.ts";

/** Streams that a gateway may open here at a time: it asks whether this side lives, and who it is. */
const ASKED_STREAMS_MAX = 8;
/** Bytes that a gateway which does not read may leave waiting on a stream; above it the stream is reset. */
const STREAM_WRITE_BYTES_MAX = 8 * 1_048_576;

/** An address behind which there are others has so long, ms: one that swallows what it is sent leaves time for those. */
const ADDRESS_MS_MAX = 2_000;

export interface Dialer {
  /** @throws OpenClawError UNAVAILABLE; whatever libp2p says; or why the signal was aborted */
  dial(
    addresses: readonly string[],
    gone: (ended: GatewayConnection) => void,
    signal: AbortSignal,
  ): Promise<GatewayConnection>;
}

/** The identity is drawn anew for each page: a client is admitted by its token, not by its key. */
export async function createDialer(): Promise<Dialer> {
  const privateKey = await generateKeyPair("Ed25519");
  const muxer = yamux({
    maxInboundStreams: ASKED_STREAMS_MAX,
    streamOptions: { maxWriteBufferLength: STREAM_WRITE_BYTES_MAX },
  })();
  const encrypter = noise()({
    peerId: peerIdFromPrivateKey(privateKey),
    privateKey,
    logger: { forComponent: () => SILENT },
    upgrader: upgraderOf(muxer),
  });
  return {
    dial: async (addresses, gone, signal) => {
      const failures: string[] = [];
      for (const [at, address] of addresses.entries()) {
        const isLast = at === addresses.length - 1;
        const own = isLast ? signal : AbortSignal.any([signal, AbortSignal.timeout(ADDRESS_MS_MAX)]);
        try {
          return await dialOne(address, encrypter, muxer, gone, own);
        } catch (error) {
          signal.throwIfAborted();
          failures.push(`${address}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      throw new OpenClawError("UNAVAILABLE", failures.join("; "));
    },
  };
}

async function dialOne(
  address: string,
  encrypter: ConnectionEncrypter,
  muxer: StreamMuxerFactory,
  gone: (ended: GatewayConnection) => void,
  signal: AbortSignal,
): Promise<GatewayConnection> {
  const { url, peer } = socketAddress(address);
  const expected = peerIdFromString(peer);
  const socket = new SocketStream(await openSocket(url, signal), SILENT);
  try {
    await select(socket, encrypter.protocol, { signal });
    const secured = await encrypter.secureOutbound(socket, { remotePeer: expected, signal });
    // Noise compares keys, which not every form of a peer id has in it.
    if (!secured.remotePeer.equals(expected))
      throw new OpenClawError("UNAVAILABLE", `who answers is ${secured.remotePeer}, not ${peer}`);
    // Noise has agreed on it already, where both know how.
    const chosen = secured.streamMuxer ?? muxer;
    if (secured.streamMuxer === undefined) await select(secured.connection, muxer.protocol, { signal });
    signal.throwIfAborted();
    const connection: GatewayConnection = new GatewayConnection(
      socket,
      chosen.createStreamMuxer(secured.connection),
      () => gone(connection),
    );
    return connection;
  } catch (error) {
    socket.abort(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/** Noise asks it which muxers there are, and nothing else. */
function upgraderOf(muxer: StreamMuxerFactory): Upgrader {
  const never = (): never => {
    throw new InvariantViolation("a dialer upgrades its connections itself");
  };
  return {
    getStreamMuxers: () => new Map([[muxer.protocol, muxer]]),
    getConnectionEncrypters: () => new Map(),
    upgradeOutbound: never,
    upgradeInbound: never,
    createInboundAbortSignal: never,
  };
}

const SILENT: Logger = Object.assign(() => undefined, {
  error: () => undefined,
  trace: () => undefined,
  enabled: false,
  newScope: () => SILENT,
});
