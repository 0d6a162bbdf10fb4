/** The gateways of a site: given by the app, or asked of one of them and remembered for when none answers. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isName } from "@openclaw/core/ids.ts";

export interface Gateway {
  readonly node: string;
  /** Multiaddrs a browser can dial, such as `/ip4/127.0.0.1/tcp/9201/ws/p2p/12D3…`. */
  readonly addresses: readonly string[];
}

export interface Site {
  readonly cluster: string;
  readonly gateways: readonly Gateway[];
}

/** Longer lists are cut: a site has at most seven gateways. */
const GATEWAYS_MAX = 16;
/** After this long the remembered list serves, ms. */
const ANSWER_MS_MAX = 3_000;

/**
 * The site as a gateway describes it at `url` (`/v1/gateways`), or as it was last described to this device.
 * @throws OpenClawError UNAVAILABLE when it never was, MALFORMED_FRAME when the answer is none
 */
export async function loadSite(url: string): Promise<Site> {
  const remembered = `openclaw-gateways:${new URL(url, location.href).href}`;
  let answer: string;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    if (!response.ok) throw new Error(`${url} answered ${response.status}`);
    answer = await response.text();
  } catch (error) {
    const last = localStorage.getItem(remembered);
    if (last === null) throw new OpenClawError("UNAVAILABLE", "no gateway answered, and none was ever known here", { cause: error });
    return parseSite(last);
  }
  const site = parseSite(answer);
  localStorage.setItem(remembered, answer);
  return site;
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
  return {
    cluster,
    gateways: gateways.slice(0, GATEWAYS_MAX).map((gateway: unknown) => {
      const { node, addresses } = record(gateway, "a gateway");
      if (!isName(node) || !Array.isArray(addresses)) throw malformed("a gateway without name or addresses");
      const texts = addresses.filter((address): address is string => typeof address === "string");
      // Others are for gateways among themselves: a browser has WebSockets only.
      return { node, addresses: texts.filter((address) => /\/wss?(\/|$)/.test(address)) };
    }),
  };
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(`${what} is no object`);
  return value as Record<string, unknown>;
}

const malformed = (details: string, cause?: unknown): OpenClawError =>
  new OpenClawError("MALFORMED_FRAME", `gateways: ${details}`, { cause });
