/**
 * Two Ed25519 keys. A node's own key is its libp2p identity: Noise proves it on every connection. The cluster's key
 * signs credentials (rule R10); a running node needs only its public half. Both files hold the protobuf that libp2p
 * defines for private keys, mode 0600.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { open, readFile, stat } from "node:fs/promises";
import {
  generateKeyPair,
  generateKeyPairFromSeed,
  privateKeyFromProtobuf,
  privateKeyToProtobuf,
} from "@libp2p/crypto/keys";
import type { Ed25519PrivateKey } from "@libp2p/interface";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import { fromHex, toHex } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";

export interface NodeIdentity {
  readonly privateKey: Ed25519PrivateKey;
  /** libp2p's name for the public key: `12D3Koo…`. */
  readonly peer: string;
}

/** Draws a key and writes it to a new file. @throws OpenClawError CONFIG_INVALID when the file exists or cannot be written */
export async function createIdentity(path: string): Promise<NodeIdentity> {
  return identityOf(await createKeyFile(path));
}

/** @throws OpenClawError CONFIG_INVALID when the file is missing, readable by others, or no Ed25519 private key */
export async function loadIdentity(path: string): Promise<NodeIdentity> {
  return identityOf(await loadKeyFile(path));
}

const identityOf = (privateKey: Ed25519PrivateKey): NodeIdentity => ({
  privateKey,
  peer: peerIdFromPrivateKey(privateKey).toString(),
});

/** Bytes of an Ed25519 signature. */
export const SIGNATURE_BYTES = 64;
const SEED_BYTES = 32;

/** The public half of a cluster's key: what a parent pins and every node checks credentials against. */
export class ClusterPublicKey {
  /** 64 lower-case hex digits, as in a configuration. */
  readonly hex: string;
  readonly #key: KeyObject;

  /** @throws OpenClawError CONFIG_INVALID */
  constructor(hex: string) {
    const raw = fromHex(hex);
    if (raw?.length !== 32) throw new OpenClawError("CONFIG_INVALID", "a cluster's public key is 64 hex digits");
    this.hex = toHex(raw);
    this.#key = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: base64url(raw) } });
  }

  verify(bytes: Uint8Array, signature: Uint8Array): boolean {
    return signature.length === SIGNATURE_BYTES && verify(null, bytes, this.#key, signature);
  }
}

/** A whole key. */
class SigningKey {
  readonly publicKey: ClusterPublicKey;
  readonly #key: KeyObject;

  constructor(key: Ed25519PrivateKey) {
    this.publicKey = new ClusterPublicKey(toHex(key.publicKey.raw));
    this.#key = keyObject(key);
  }

  sign(bytes: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, bytes, this.#key));
  }
}

/** A cluster's own. Needed to sign credentials and invitations, never to run a node. */
export class ClusterKey extends SigningKey {
  /** Draws a key and writes it to a new file. @throws OpenClawError CONFIG_INVALID */
  static async create(path: string): Promise<ClusterKey> {
    return new ClusterKey(await createKeyFile(path));
  }

  /** @throws OpenClawError CONFIG_INVALID */
  static async load(path: string): Promise<ClusterKey> {
    return new ClusterKey(await loadKeyFile(path));
  }

  /** Copies a key that is there into a new file. @throws OpenClawError CONFIG_INVALID */
  static async adopt(from: string, path: string): Promise<ClusterKey> {
    return new ClusterKey(await saveKeyFile(path, await loadKeyFile(from)));
  }
}

/** What an invitation names, and a token carries as its seed. */
export class OneTimeKey extends SigningKey {
  /** Whoever has it has the key. */
  readonly seed: Uint8Array;

  private constructor(key: Ed25519PrivateKey) {
    super(key);
    this.seed = new Uint8Array(key.raw.subarray(0, SEED_BYTES));
  }

  static async draw(): Promise<OneTimeKey> {
    return new OneTimeKey(await generateKeyPair("Ed25519"));
  }

  /** @throws OpenClawError BAD_REQUEST */
  static async fromSeed(seed: Uint8Array): Promise<OneTimeKey> {
    if (seed.length !== SEED_BYTES) throw new OpenClawError("BAD_REQUEST", `a seed has ${SEED_BYTES} bytes`);
    return new OneTimeKey(await generateKeyPairFromSeed("Ed25519", seed));
  }
}

/** The key that signs bearer tokens, as `jose` takes it. @throws OpenClawError CONFIG_INVALID */
export async function loadTokenKey(path: string): Promise<KeyObject> {
  return keyObject(await loadKeyFile(path));
}

/** Draws the key that signs bearer tokens; its public half, as a configuration's `auth.publicKey`. @throws OpenClawError CONFIG_INVALID */
export async function createTokenKey(path: string): Promise<ReturnType<typeof tokenPublicKey>> {
  return tokenPublicKey(await createKeyFile(path));
}

/** Copies one that is there into a new file; else as `createTokenKey`. */
export async function adoptTokenKey(from: string, path: string): Promise<ReturnType<typeof tokenPublicKey>> {
  return tokenPublicKey(await saveKeyFile(path, await loadKeyFile(from)));
}

const tokenPublicKey = (key: Ed25519PrivateKey) =>
  ({ kty: "OKP", crv: "Ed25519", x: base64url(key.publicKey.raw) }) as const;

function keyObject(key: Ed25519PrivateKey): KeyObject {
  // libp2p's raw private key is the seed followed by the public key.
  const d = base64url(key.raw.subarray(0, SEED_BYTES));
  const x = base64url(key.publicKey.raw);
  return createPrivateKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", d, x } });
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

const createKeyFile = async (path: string): Promise<Ed25519PrivateKey> =>
  saveKeyFile(path, await generateKeyPair("Ed25519"));

async function saveKeyFile(path: string, key: Ed25519PrivateKey): Promise<Ed25519PrivateKey> {
  try {
    // "wx": a key is never overwritten; who holds the old one would be somebody else from then on.
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(privateKeyToProtobuf(key));
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new OpenClawError("CONFIG_INVALID", `cannot write the key file ${path}: ${reason(error)}`, { cause: error });
  }
  return key;
}

async function loadKeyFile(path: string): Promise<Ed25519PrivateKey> {
  let bytes: Uint8Array;
  let mode: number;
  try {
    mode = (await stat(path)).mode;
    bytes = await readFile(path);
  } catch (error) {
    throw new OpenClawError("CONFIG_INVALID", `cannot read the key file ${path}: ${reason(error)}`, { cause: error });
  }
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    throw new OpenClawError("CONFIG_INVALID", `the key file ${path} can be read by others; run chmod 600 on it`);
  }
  try {
    const key = privateKeyFromProtobuf(bytes);
    if (key.type === "Ed25519") return key;
  } catch (error) {
    throw new OpenClawError("CONFIG_INVALID", `${path} does not hold a private key`, { cause: error });
  }
  throw new OpenClawError("CONFIG_INVALID", `${path} holds a key of another kind than Ed25519`);
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
