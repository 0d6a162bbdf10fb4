/** The sites of the fleet and where their pages are: keys of the hub, which every site mirrors. */

export const SITES_PREFIX = "sites/";
/** Whose keys they are. */
export const SITES_HOME = "hub";

export interface SitePages {
  readonly name: string;
  /** One page a gateway. */
  readonly urls: readonly string[];
}

/** The site that a row tells of, or undefined if it tells of none. */
export function parseSite(key: string, value: string): SitePages | undefined {
  let urls: unknown;
  try {
    urls = JSON.parse(value);
  } catch {
    return undefined;
  }
  if (!Array.isArray(urls)) return undefined;
  return { name: key.slice(SITES_PREFIX.length), urls: urls.filter(isPage) };
}

/** What a link must not lead to is left out: a script, for one. */
const isPage = (url: unknown): url is string =>
  typeof url === "string" && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
