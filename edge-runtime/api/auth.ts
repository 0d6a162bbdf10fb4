/**
 * Who a bearer token says its caller is: an EdDSA JWT {sub, exp, read: [prefix], write: [prefix], admin?}. A prefix is
 * compared with a key's bytes, and with `docs:<collection>/<id>` for a document; the empty prefix covers everything.
 */
import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { importJWK, importSPKI, type JWTPayload, jwtVerify } from "jose";
import { z } from "zod";
import type { ApiAuthority, ApiPrincipal } from "./deps.ts";

/** Prefixes in one claim: a token is read at every request. */
const PREFIXES_MAX = 256;

const prefixes = z.array(z.string().max(4_096)).max(PREFIXES_MAX).default([]);
const Claims = z.object({
  // `node:`, `lease:` and `anonymous` are names that the cluster itself gives.
  sub: z
    .string()
    .min(1)
    .max(256)
    .refine((name) => !/^(node|lease):/.test(name) && name !== "anonymous", "a reserved name"),
  exp: z.number(),
  read: prefixes,
  write: prefixes,
  admin: z.boolean().default(false),
});

/** An Ed25519 public key, as a JWK or as the PEM text of its SPKI. */
export type PublicKey = string | { readonly kty: "OKP"; readonly crv: "Ed25519"; readonly x: string };

/** Without a key everybody is `anonymous` and may do everything; the node then binds loopback only (X2). */
export const openAuthority: ApiAuthority = {
  secured: false,
  authenticate: async () => ({
    name: "anonymous",
    mayReadKey: () => true,
    mayReadPrefix: () => true,
    mayWriteKey: () => true,
    mayWritePrefix: () => true,
    mayReadDocument: () => true,
    mayReadCollection: () => true,
    mayWriteDocument: () => true,
    mayAdminister: true,
    expires: null,
  }),
};

/** @throws OpenClawError CONFIG_INVALID when that is no Ed25519 public key */
export async function tokenAuthority(publicKey: PublicKey): Promise<ApiAuthority> {
  const key = await imported(publicKey);
  return {
    secured: true,
    authenticate: async (token) => {
      if (token === null) throw new OpenClawError("UNAUTHENTICATED");
      let payload: JWTPayload;
      try {
        const options = { algorithms: ["EdDSA", "Ed25519"], requiredClaims: ["sub", "exp"] };
        ({ payload } = await jwtVerify(token, key, options));
      } catch (error) {
        throw new OpenClawError("UNAUTHENTICATED", error instanceof Error ? error.message : "", { cause: error });
      }
      const claims = Claims.safeParse(payload);
      if (!claims.success) throw new OpenClawError("UNAUTHENTICATED", z.prettifyError(claims.error));
      return principalOf(claims.data);
    },
  };
}

async function imported(publicKey: PublicKey) {
  try {
    return typeof publicKey === "string"
      ? await importSPKI(publicKey, "EdDSA")
      : await importJWK({ ...publicKey }, "EdDSA");
  } catch (error) {
    throw new OpenClawError("CONFIG_INVALID", "auth.publicKey is no Ed25519 public key", { cause: error });
  }
}

function principalOf({ sub, exp, read, write, admin }: z.infer<typeof Claims>): ApiPrincipal {
  const readable = read.map(utf8);
  const writable = write.map(utf8);
  return {
    name: sub,
    mayReadKey: (key) => covers(readable, key),
    mayReadPrefix: (prefix) => covers(readable, prefix),
    mayWriteKey: (key) => covers(writable, key),
    mayWritePrefix: (prefix) => covers(writable, prefix),
    mayReadDocument: (collection, document) => coversDocument(readable, collection, document),
    mayReadCollection: (collection) => coversDocument(readable, collection, ""),
    mayWriteDocument: (collection, document) => coversDocument(writable, collection, document),
    mayAdminister: admin,
    expires: exp * 1_000,
  };
}

const covers = (prefixes: readonly Uint8Array[], bytes: Uint8Array): boolean =>
  prefixes.some((prefix) => prefix.length <= bytes.length && prefix.every((byte, i) => byte === bytes[i]));

/** A slash in a collection's name would make two documents one name. */
const coversDocument = (prefixes: readonly Uint8Array[], collection: string, document: string): boolean =>
  !collection.includes("/") && covers(prefixes, utf8(`docs:${collection}/${document}`));
