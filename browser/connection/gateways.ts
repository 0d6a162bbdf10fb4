/** The gateways of a site: given by the app, or asked of one of them and remembered for when none answers. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isName } from "@openclaw/core/ids.ts";
import { recall, remember } from "../storage/local-memory.ts";
import { keep, kept } from "../storage/origin-file.ts";

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
 * so that a page opens without waiting for anybody: it stands in Local Storage, and in a file for when a kill took what that
 * had not yet on the disk. `onNews` is called when the answer, which comes later, differs.
 * @throws OpenClawError UNAVAILABLE when nothing was remembered and nobody answers, MALFORMED_FRAME
 */
export async function loadSite(url: string, token: string | null, onNews: (site: Site) => void): Promise<Site> {
  const name = `openclaw-gateways:${new URL(url, location.href).href}`;
  const asking = ask(url, token);
  // Told below.
  asking.catch(() => undefined);
  const remembered = recall(name) ?? (await kept(name));
  const known = remembered === null ? null : readable(remembered);
  const asked = asking.then((answer) => {
    const site = parseSite(answer);
    if (answer !== remembered) {
      remember(name, answer);
      void keep(name, answer);
      if (known !== null) onNews(site);
    }
    return site;
  });
  // Offline, which the link's own status tells. The next page asks again.
  asked.catch(() => undefined);
  return known ?? asked;
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
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && "cluster" in value && "gateways" in value) {
      const { cluster, gateways } = value;
      if (isName(cluster) && Array.isArray(gateways))
        return { cluster, gateways: gatewaysOf(gateways.filter((address) => typeof address === "string")) };
    }
  } catch {
    // Not JSON: told as what else it may be.
  }
  throw new OpenClawError("MALFORMED_FRAME", "no description of a site's gateways");
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
