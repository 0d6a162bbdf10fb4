/** The gateways of a site: given by the app, or asked of one of them and remembered for when none answers. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isName } from "@openclaw/core/ids.ts";
import { recall, remember } from "../storage/local-memory.ts";

export interface Gateway {
  /** Its libp2p peer id: what the dialled connection must prove. */
  readonly peer: string;
  /** Multiaddrs of it that a browser can dial, such as `/ip4/127.0.0.1/tcp/9201/ws/p2p/12D3…`. */
  readonly addresses: readonly string[];
}

export interface Site {
  readonly cluster: string;
  readonly gateways: readonly Gateway[];
}

/** Longer lists are cut: a site has at most seven gateways, each with a few addresses. */
const ADDRESSES_MAX = 64;
/** A gateway that has not answered by then does not, ms. */
const ANSWER_MS_MAX = 5_000;

/**
 * The site as a gateway describes it at `url` (`/v1/gateways`). What was described to this device before serves at once,
 * so that a page opens without waiting for anybody; `onNews` is called when the answer, which comes later, differs.
 * @throws OpenClawError UNAVAILABLE when nothing was remembered and nobody answers, MALFORMED_FRAME
 */
export async function loadSite(url: string, token: string | null, onNews: (site: Site) => void): Promise<Site> {
  const name = `openclaw-gateways:${new URL(url, location.href).href}`;
  const remembered = recall(name);
  const asked = ask(url, token).then((answer) => {
    const site = parseSite(answer);
    remember(name, answer);
    return { site, news: answer !== remembered };
  });
  const known = remembered === null ? null : readable(remembered);
  if (known === null) return (await asked).site;
  asked.then(
    ({ site, news }) => {
      if (news) onNews(site);
    },
    // Offline, which the link's own status tells. The next page asks again.
    () => undefined,
  );
  return known;
}

/** What an older version of the app remembered may not be readable: then it is as if nothing was. */
function readable(text: string): Site | null {
  try {
    return parseSite(text);
  } catch (error) {
    if (error instanceof OpenClawError) return null;
    throw error;
  }
}

async function ask(url: string, token: string | null): Promise<string> {
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return await response.text();
  } catch (error) {
    throw new OpenClawError("UNAVAILABLE", `no answer from ${url}, and none is remembered on this device`, {
      cause: error,
    });
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function parseSite(text: string): Site {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw malformed("not JSON", error);
  }
  const { cluster, gateways } = record(value, "the list of gateways");
  if (!isName(cluster)) throw malformed("no cluster");
  if (!Array.isArray(gateways)) throw malformed("no gateways");
  return { cluster, gateways: gatewaysOf(gateways.filter((address) => typeof address === "string")) };
}

/** Addresses, by the peer each names. Those without a peer id, or that no browser can dial, are left out. */
export function gatewaysOf(addresses: readonly string[]): readonly Gateway[] {
  const byPeer = new Map<string, string[]>();
  for (const address of addresses.slice(0, ADDRESSES_MAX)) {
    const peer = /\/wss?\/.*\bp2p\/([^/]+)$/.exec(address)?.[1];
    if (peer !== undefined) byPeer.set(peer, [...(byPeer.get(peer) ?? []), address]);
  }
  return [...byPeer].map(([peer, own]) => ({ peer, addresses: own }));
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(`${what} is no object`);
  return value as Record<string, unknown>;
}

const malformed = (details: string, cause?: unknown): OpenClawError =>
  new OpenClawError("MALFORMED_FRAME", `gateways: ${details}`, { cause });
