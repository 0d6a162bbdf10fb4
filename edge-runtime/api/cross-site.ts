/**
 * What a page of another site may do to a node on loopback that asks for no token: nothing. `Origin` is checked because
 * a browser sends it with every request that can write or be read across origins; `Host` because a name that a stranger
 * points at 127.0.0.1 (DNS rebinding) would make his page ours.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { MembersDoor, SiteMember } from "./deps.ts";

const LOOPBACK_HOSTS = new Set(["localhost", "127.0.0.1", "[::1]"]);
const METHODS = "GET, HEAD, PUT, POST, DELETE";
const REQUEST_HEADERS = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id";
const ANSWER_HEADERS =
  "etag, x-openclaw-mod-revision, x-openclaw-create-revision, x-openclaw-version, x-openclaw-revision, x-openclaw-heads, " +
  "x-openclaw-position, x-openclaw-idempotency-remembered-ms";
/** Seconds a browser may remember the answer to a preflight. */
const PREFLIGHT_SECONDS = 600;

export class CrossSiteGuard {
  readonly #secured: boolean;
  readonly #configured: readonly string[];
  readonly #members: Pick<MembersDoor, "list">;
  #list: readonly SiteMember[] = [];
  #origins: ReadonlySet<string> = new Set();
  #hosts: ReadonlySet<string> = LOOPBACK_HOSTS;
  /** The last `Host` that was let through: nearly every request carries the same one, and taking it apart costs. */
  #lastHost: string | null = null;

  /** @param origins origins, besides the members' own, whose pages may call, in the form a browser sends them */
  constructor(secured: boolean, origins: readonly string[], members: Pick<MembersDoor, "list">) {
    this.#secured = secured;
    this.#configured = origins;
    this.#members = members;
    this.#allow([]);
  }

  #allow(list: readonly SiteMember[]): void {
    this.#list = list;
    this.#lastHost = null;
    const origins = [...this.#configured, ...list.map(({ http }) => new URL(http).origin)];
    this.#origins = new Set(origins);
    this.#hosts = new Set([...LOOPBACK_HOSTS, ...origins.map((origin) => new URL(origin).hostname)]);
  }

  /** @throws OpenClawError CROSS_SITE */
  #requireHost(host: string | undefined): void {
    if (host !== undefined && host === this.#lastHost) return;
    if (!this.#hosts.has(hostname(host))) throw new OpenClawError("CROSS_SITE", `Host: ${host ?? ""}`);
    this.#lastHost = host ?? null;
  }

  /** True when the request was a preflight, and is answered. @throws OpenClawError CROSS_SITE */
  answers(request: FastifyRequest, reply: FastifyReply): boolean {
    const { host, origin } = request.headers;
    const list = this.#members.list();
    if (list !== this.#list) this.#allow(list);
    if (!this.#secured) this.#requireHost(host);
    if (origin === undefined) return false;
    const own = origin === `http://${host}` || origin === `https://${host}`;
    if (!own && !this.#origins.has(origin)) {
      // With tokens a stranger's page has nothing to ride on: it gets no CORS headers and cannot read the answer.
      if (this.#secured) return false;
      throw new OpenClawError("CROSS_SITE", `Origin: ${origin}`);
    }
    void reply
      .header("access-control-allow-origin", origin)
      .header("vary", "Origin")
      .header("access-control-expose-headers", ANSWER_HEADERS);
    if (request.method !== "OPTIONS" || request.headers["access-control-request-method"] === undefined) return false;
    void reply
      .code(204)
      .header("access-control-allow-methods", METHODS)
      .header("access-control-allow-headers", REQUEST_HEADERS)
      .header("access-control-max-age", PREFLIGHT_SECONDS)
      .send();
    return true;
  }
}

function hostname(host: string | undefined): string {
  if (host === undefined || !URL.canParse(`http://${host}`)) return "";
  return new URL(`http://${host}`).hostname;
}
