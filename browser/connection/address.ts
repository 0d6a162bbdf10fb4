/** Multiaddrs that a browser can dial: WebSocket over TCP, to a peer that is named. */
import { OpenClawError } from "@openclaw/core/errors.ts";

export interface SocketAddress {
  readonly url: string;
  /** The peer id that who answers must prove. */
  readonly peer: string;
}

const ADDRESS =
  /^\/(?<kind>ip4|ip6|dns|dns4|dns6)\/(?<host>[\w.:-]+)\/tcp\/(?<port>\d{1,5})\/(?<over>ws|wss|tls\/ws|tls\/sni\/(?<name>[\w.-]+)\/ws)\/p2p\/(?<peer>[^/]+)$/;

/** @throws OpenClawError BAD_REQUEST */
export function socketAddress(multiaddr: string): SocketAddress {
  const { kind, host, port, over, name, peer } = ADDRESS.exec(multiaddr)?.groups ?? {};
  if (host === undefined || over === undefined || peer === undefined) throw undialable(multiaddr);
  const secure = over !== "ws";
  // Whose certificate it must be is who a browser asks for.
  const authority = name ?? (kind === "ip6" ? `[${host}]` : host);
  return { url: `${secure ? "wss" : "ws"}://${authority}:${port}/`, peer };
}

const undialable = (multiaddr: string): OpenClawError =>
  new OpenClawError(
    "BAD_REQUEST",
    `no browser can dial ${multiaddr}: it takes …/tcp/PORT/ws or …/wss, and then …/p2p/ID`,
  );
