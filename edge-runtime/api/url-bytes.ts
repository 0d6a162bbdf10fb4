/**
 * Keys are bytes, and a URL can carry any byte by percent-encoding; a router that decodes UTF-8 cannot. So a key's path
 * is turned into hex before routing, and a query's bytes are read from the raw URL.
 */
import { fromHex, toHex, utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { KEY_BYTES_MAX } from "@openclaw/core/limits.ts";

const KEY_PATHS = ["/v1/kv/", "/v1/history/"] as const;
const MALFORMED = "malformed";
const OVERSIZE = "oversize";

/** `/v1/kv/a%2Fb?x` becomes `/v1/kv/x612f62?x`; URLs that name no key stay. */
export function routableUrl(url: string): string {
  const keyPath = KEY_PATHS.find((path) => url.startsWith(path));
  if (keyPath === undefined) return url;
  const end = url.indexOf("?");
  const path = end < 0 ? url.slice(keyPath.length) : url.slice(keyPath.length, end);
  const query = end < 0 ? "" : url.slice(end);
  const bytes = percentDecoded(path);
  if (bytes === undefined) return `${keyPath}${MALFORMED}${query}`;
  return `${keyPath}${bytes.length > KEY_BYTES_MAX ? OVERSIZE : `x${toHex(bytes)}`}${query}`;
}

/** Of a route with `:key`. */
export const keyParameter = {
  type: "object",
  properties: { key: { type: "string", description: "Percent-encoded; slashes and any byte may stand in it" } },
} as const;

/** Characters of the longest routable key. */
export const ROUTABLE_KEY_CHARS_MAX = 2 * KEY_BYTES_MAX + 1;

/** The key in a routable path. @throws OpenClawError BAD_REQUEST, KEY_EMPTY, KEY_TOO_LARGE */
export function keyOf(parameter: string): Uint8Array {
  if (parameter === OVERSIZE) throw new OpenClawError("KEY_TOO_LARGE");
  const bytes = parameter.startsWith("x") ? fromHex(parameter.slice(1)) : undefined;
  if (bytes === undefined) throw new OpenClawError("BAD_REQUEST", "the key is not percent-encoded");
  if (bytes.length === 0) throw new OpenClawError("KEY_EMPTY");
  return bytes;
}

/** A query parameter's bytes, or undefined when it is absent. @throws OpenClawError BAD_REQUEST, KEY_TOO_LARGE */
export function queryBytes(url: string, name: string): Uint8Array | undefined {
  const start = url.indexOf("?");
  if (start < 0) return undefined;
  for (const pair of url.slice(start + 1).split("&")) {
    const equals = pair.indexOf("=");
    if ((equals < 0 ? pair : pair.slice(0, equals)) !== name) continue;
    const bytes = percentDecoded(equals < 0 ? "" : pair.slice(equals + 1).replaceAll("+", " "));
    if (bytes === undefined) throw new OpenClawError("BAD_REQUEST", `${name} is not percent-encoded`);
    if (bytes.length > KEY_BYTES_MAX) throw new OpenClawError("KEY_TOO_LARGE", name);
    return bytes;
  }
  return undefined;
}

function percentDecoded(text: string): Uint8Array | undefined {
  const raw = utf8(text);
  const bytes = new Uint8Array(raw.length);
  let length = 0;
  for (let i = 0; i < raw.length; i++) {
    const byte = raw[i] ?? 0;
    if (byte !== 0x25) {
      bytes[length++] = byte;
      continue;
    }
    const decoded = fromHex(String.fromCharCode(raw[i + 1] ?? 0, raw[i + 2] ?? 0));
    if (decoded === undefined) return undefined;
    bytes[length++] = decoded[0] ?? 0;
    i += 2;
  }
  return bytes.slice(0, length);
}

/** Percent-encodes every byte that is not unreserved (RFC 3986 §2.3), slashes excepted. */
export function percentEncoded(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += /[A-Za-z0-9\-_.~/]/.test(character) ? character : `%${toHex(Uint8Array.of(byte)).toUpperCase()}`;
  }
  return text;
}
