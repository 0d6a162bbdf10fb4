/** A libp2p host that dials the configured gateways over WebSocket and nothing else. Loaded when the first dial is due. */
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { ping } from "@libp2p/ping";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { createLibp2p, type Libp2p } from "libp2p";

/** Gateways of one site, and one connection being replaced by another. */
const CONNECTIONS_MAX = 16;
/** Bytes that a gateway which does not read may leave waiting here; above it the stream is reset. */
const STREAM_WRITE_BYTES_MAX = 8 * 1_048_576;
/** Bytes on their way to the socket before libp2p says so. */
const SOCKET_BYTES_MAX = 1_048_576;

export type GatewayStream = Awaited<ReturnType<Libp2p["dialProtocol"]>>;

/**
 * The identity is drawn anew for each page: a client is admitted by its token, not by its key.
 * @param addresses what the app named, asked at each dial
 */
export function createHost(addresses: () => readonly string[]): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen: [] },
    transports: [closingWebSockets],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxWriteBufferLength: STREAM_WRITE_BYTES_MAX } })],
    services: { identify: identify(), ping: ping() },
    connectionManager: { maxConnections: CONNECTIONS_MAX, reconnectRetries: 0 },
    connectionGater: {
      // The default of browsers refuses `ws://` and private addresses, which a site on a local network has. What the
      // app named is dialled, and nothing that a peer advertises.
      denyDialMultiaddr: (address) =>
        !addresses().some((named) => withoutPeer(multiaddr(named)) === withoutPeer(address)),
    },
  });
}

/**
 * The WebSocket transport, with sockets that close. Its own way to abort a connection is `close(1006)`, which browsers
 * refuse (WHATWG: 1000 or 3000–4999 only), and it swallows the refusal: the socket stays open for ever, and after 255 of
 * them Chromium opens no more.
 */
const closingWebSockets: ReturnType<typeof webSockets> = (components) => {
  const transport = webSockets({ maxBufferedAmount: SOCKET_BYTES_MAX, bufferedAmountPollInterval: 50 })(components);
  const dial = transport.dial.bind(transport);
  transport.dial = (address, options) => {
    const { upgrader } = options;
    const upgradeOutbound: typeof upgrader.upgradeOutbound = (socket, upgrade) => {
      if (hasWebSocket(socket)) socket.sendReset = () => socket.websocket.close();
      return upgrader.upgradeOutbound(socket, upgrade);
    };
    const closing = Object.create(upgrader, { upgradeOutbound: { value: upgradeOutbound } });
    return dial(address, { ...options, upgrader: closing });
  };
  return transport;
};

const hasWebSocket = (socket: object): socket is { websocket: WebSocket; sendReset: () => void } =>
  "websocket" in socket && socket.websocket instanceof WebSocket && "sendReset" in socket;

const withoutPeer = (address: Multiaddr): string => address.toString().replace(/\/p2p\/[^/]+$/, "");
