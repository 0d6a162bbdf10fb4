import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode } from "@openclaw/core/codec.ts";
import { PARTITION } from "@openclaw/core/ids.ts";
import {
  type CredentialClaim,
  createCredential,
  loadCredential,
  parseCredential,
  saveCredential,
  verifyCredential,
} from "@openclaw/edge-runtime/network/credential.ts";
import { ClusterKey, ClusterPublicKey, createIdentity, loadIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clusterId, nodeId } from "./libp2p-cluster.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-identity-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const coded = (code: string) => expect.objectContaining({ code });

describe("identity", () => {
  test("a key file is private, is loaded again as the same peer, and is never overwritten", async () => {
    const path = join(folder, "identity.key");
    const created = await createIdentity(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(created.peer).toMatch(/^12D3Koo/);
    expect((await loadIdentity(path)).peer).toBe(created.peer);
    await expect(createIdentity(path)).rejects.toThrow(coded("CONFIG_INVALID"));
    expect((await loadIdentity(path)).peer).toBe(created.peer);
  });

  test("a key file that is missing, open to others or no key is refused by name", async () => {
    const path = join(folder, "bad.key");
    await expect(loadIdentity(path)).rejects.toThrow(coded("CONFIG_INVALID"));
    await writeFile(path, "not a key", { mode: 0o600 });
    await expect(loadIdentity(path)).rejects.toThrow(/bad\.key/);
    const open = join(folder, "open.key");
    await createIdentity(open);
    await chmod(open, 0o644);
    await expect(loadIdentity(open)).rejects.toThrow(/chmod 600/);
  });

  test("a cluster's key signs, and its public half in hex verifies", async () => {
    const path = join(folder, "cluster.key");
    const key = await ClusterKey.create(path);
    const signature = (await ClusterKey.load(path)).sign(Uint8Array.of(1, 2));
    const publicKey = new ClusterPublicKey(key.publicKey.hex);
    expect(key.publicKey.hex).toMatch(/^[0-9a-f]{64}$/);
    expect(publicKey.verify(Uint8Array.of(1, 2), signature)).toBe(true);
    expect(publicKey.verify(Uint8Array.of(1, 3), signature)).toBe(false);
    expect(publicKey.verify(Uint8Array.of(1, 2), signature.subarray(1))).toBe(false);
    expect(() => new ClusterPublicKey("12")).toThrow(coded("CONFIG_INVALID"));
  });
});

describe("credential", () => {
  const cluster = clusterId("california");
  const node = nodeId("california-1");
  let key: ClusterKey;
  let peer: string;
  let claim: CredentialClaim;
  let bytes: Uint8Array;
  beforeAll(async () => {
    key = await ClusterKey.create(join(folder, "california.key"));
    peer = (await createIdentity(join(folder, "node.key"))).peer;
    claim = { cluster, partition: PARTITION, node, peer };
    bytes = createCredential(claim, key);
  });
  const check = (credential: Uint8Array, changes: object = {}) =>
    verifyCredential(credential, { clusterKey: key.publicKey, cluster, remotePeer: peer, ...changes });

  test("R10: the cluster's signature admits the node, with no date in it", () => {
    expect(check(bytes)).toMatchObject({ node, invitation: null });
    expect(parseCredential(bytes)).toMatchObject(claim);
    expect([...createCredential(claim, key)]).toEqual([...bytes]);
  });

  test("R10: another peer, another cluster and another key are refused by code", async () => {
    const stranger = await createIdentity(join(folder, "stranger.key"));
    expect(() => check(bytes, { remotePeer: stranger.peer })).toThrow(coded("NOT_ADMITTED"));
    expect(() => check(bytes, { cluster: clusterId("alaska") })).toThrow(coded("WRONG_CLUSTER"));
    const other = await ClusterKey.create(join(folder, "other.key"));
    expect(() => check(bytes, { clusterKey: other.publicKey })).toThrow(coded("NOT_ADMITTED"));
    expect(() => check(createCredential(claim, other))).toThrow(coded("NOT_ADMITTED"));
  });

  test("R10: no byte of a credential can be changed", () => {
    for (let at = 0; at < bytes.length; at++) {
      const altered = Uint8Array.from(bytes);
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect(() => check(altered), `byte ${at}`).toThrow(/peer|cluster|credential|version/);
    }
  });

  test("X1: garbage is not admitted, an unknown version is named", () => {
    for (const garbage of [
      new Uint8Array(0),
      Uint8Array.of(0xc1),
      encode([1, "x"]),
      encode("x"),
      new Uint8Array(9_999),
    ]) {
      expect(() => check(garbage)).toThrow(coded("NOT_ADMITTED"));
    }
    const fields = decode(bytes);
    if (!Array.isArray(fields)) throw new Error("no tuple");
    expect(() => check(encode([3, ...fields.slice(1)]))).toThrow(coded("UNKNOWN_VERSION"));
  });

  test("a credential file that does not fit the node is a configuration error that says so", async () => {
    const path = join(folder, "credential");
    await saveCredential(path, bytes);
    const admission = { clusterKey: key.publicKey, cluster, remotePeer: peer };
    expect(await loadCredential(path, admission)).toEqual(bytes);
    await expect(loadCredential(path, { ...admission, remotePeer: "12D3x" })).rejects.toThrow(
      /the credential is of 12D3Koo/,
    );
    await expect(loadCredential(join(folder, "none"), admission)).rejects.toThrow(coded("CONFIG_INVALID"));
  });
});
