/**
 * What waits at other origins of this device. Storage is one origin's: a page that is loaded again from another gateway does
 * not find what was typed at the first. Cookies know no ports, and one that names a domain is shared by all hosts below it:
 * so each origin says in one how much waits there, and a page at another reads it. Anybody on the domain may write them, and
 * nothing that they say is more than a hint.
 */
import type { Unsynced } from "@openclaw/core/client/client.ts";
import type { Clock } from "@openclaw/core/ports.ts";

/** A document, as far as its cookies go. */
export interface CookieJar {
  cookie: string;
}

export interface ElsewhereOptions {
  readonly jar: CookieJar;
  readonly location: Pick<Location, "origin" | "hostname" | "protocol">;
  /** Name of the database: two apps, or sites, of one host are apart. */
  readonly database: string;
  /** Whose hosts share the cookie; null: this host alone, at all its ports. */
  readonly domain: string | null;
  readonly clock: Pick<Clock, "after" | "wall">;
}

const PREFIX = "openclaw-unsynced.";
/** Other origins that are told of. */
const ORIGINS_MAX = 16;
/** Characters of one cookie's name: what is longer is not written, or read. */
const NAME_MAX = 400;
const UNSYNCED_MAX = 1_000_000;
/** As long as browsers keep one, s. */
const KEPT_S = 400 * 86_400;
/** At most one is written in that time, ms. */
const WRITE_EVERY_MS = 1_000;

export class Elsewhere {
  readonly #options: ElsewhereOptions;
  #found: readonly Unsynced[] = [];
  #unsynced = 0;
  #written: number | null = null;
  #cancel: (() => void) | null = null;

  constructor(options: ElsewhereOptions) {
    this.#options = options;
  }

  /** The same until something else was found. */
  get found(): readonly Unsynced[] {
    return this.#found;
  }

  /** So many edits wait at this origin. */
  tell(unsynced: number): void {
    this.#unsynced = Math.min(unsynced, UNSYNCED_MAX);
    if (this.#cancel !== null || this.#written === this.#unsynced) return;
    this.#write();
    this.#cancel = this.#options.clock.after(WRITE_EVERY_MS, () => {
      this.#cancel = null;
      this.tell(this.#unsynced);
    });
  }

  /** Looks again; true if it is not as it was. */
  look(): boolean {
    const found = this.#read();
    if (JSON.stringify(found) === JSON.stringify(this.#found)) return false;
    this.#found = found;
    return true;
  }

  /** What is not told yet is now. */
  stop(): void {
    this.#cancel?.();
    this.#write();
  }

  #write(): void {
    this.#written = this.#unsynced;
    const { location, database, domain, clock, jar } = this.#options;
    const name = nameOf(location.origin, database);
    const since = this.#all().find((cookie) => cookie.name === name)?.since ?? clock.wall();
    const attributes = ["Path=/", "SameSite=Lax", `Max-Age=${this.#unsynced === 0 ? 0 : KEPT_S}`];
    if (domain !== null) attributes.push(`Domain=${domain}`);
    if (location.protocol === "https:") attributes.push("Secure");
    if (name.length <= NAME_MAX)
      tried(() => {
        jar.cookie = [`${name}=${this.#unsynced}-${Math.trunc(since)}`, ...attributes].join("; ");
      });
  }

  #read(): readonly Unsynced[] {
    const { location, database } = this.#options;
    const found = this.#all().flatMap(({ name, unsynced, since }) => {
      const origin = originOf(name, database);
      const isOther = origin !== null && origin.origin !== location.origin && this.#isOurs(origin.hostname);
      return isOther ? [{ origin: origin.origin, unsynced, since }] : [];
    });
    return found.sort((a, b) => (a.origin < b.origin ? -1 : 1)).slice(0, ORIGINS_MAX);
  }

  /** A link is made of it: it leads to nobody's but this host, or those of the domain. */
  #isOurs(hostname: string): boolean {
    const { location, domain } = this.#options;
    if (hostname === location.hostname) return true;
    return domain !== null && (hostname === domain || hostname.endsWith(`.${domain}`));
  }

  #all(): readonly { readonly name: string; readonly unsynced: number; readonly since: number }[] {
    const { jar, clock } = this.#options;
    const cookies = tried(() => jar.cookie) ?? "";
    return cookies.split("; ").flatMap((cookie) => {
      const [, name, count, since] = /^(openclaw-unsynced\.[^=]+)=(\d{1,7})-(\d{1,16})$/.exec(cookie) ?? [];
      if (name === undefined || name.length > NAME_MAX) return [];
      const unsynced = Math.min(Number(count), UNSYNCED_MAX);
      return unsynced === 0 ? [] : [{ name, unsynced, since: Math.min(Number(since), Math.trunc(clock.wall())) }];
    });
  }
}

const nameOf = (origin: string, database: string): string => `${PREFIX}${escaped(origin)}.${escaped(database)}`;

/** Dots and parentheses, too: they stand between the two, or in no cookie's name. */
const escaped = (text: string): string =>
  encodeURIComponent(text).replace(/[.()]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** Null for one that is not of this database, or is no origin of a page. */
function originOf(name: string, database: string): URL | null {
  const [origin = "", of, ...more] = name.slice(PREFIX.length).split(".");
  if (of !== escaped(database) || more.length > 0) return null;
  const url = tried(() => new URL(decodeURIComponent(origin)));
  const isPage = url !== null && (url.protocol === "https:" || url.protocol === "http:");
  return isPage && escaped(url.origin) === origin ? url : null;
}

/** Null where a browser keeps no cookies, or what stands in one is nothing of ours. */
function tried<T>(run: () => T): T | null {
  try {
    return run();
  } catch {
    return null;
  }
}
