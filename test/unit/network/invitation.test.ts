/** R10: tokens, invitations and the credentials made from them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, type Encodable, encode } from "@openclaw/core/codec.ts";
import { PARTITION } from "@openclaw/core/ids.ts";
import { encodeToken, type JoinToken, parseToken } from "@openclaw/edge-runtime/join-token.ts";
import {
  createCredential,
  createInvitedCredential,
  verifyCredential,
} from "@openclaw/edge-runtime/network/credential.ts";
import { ClusterKey, createIdentity, OneTimeKey } from "@openclaw/edge-runtime/network/identity.ts";
import { createInvitation, type Invitation } from "@openclaw/edge-runtime/network/invitation.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clusterId, nodeId } from "./libp2p-cluster.ts";

const cluster = clusterId("california");
const node = nodeId("california-4");
const coded = (code: string) => expect.objectContaining({ code });

let folder: string;
let key: ClusterKey;
let otherKey: ClusterKey;
let oneTimeKey: OneTimeKey;
let invitation: Invitation;
let peer: string;
let stranger: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-invitation-"));
  key = await ClusterKey.create(join(folder, "cluster.key"));
  otherKey = await ClusterKey.create(join(folder, "other.key"));
  oneTimeKey = await OneTimeKey.draw();
  const claim = { cluster, node, replaces: null, key: oneTimeKey.publicKey.hex };
  invitation = createInvitation(claim, key);
  peer = (await createIdentity(join(folder, "node.key"))).peer;
  stranger = (await createIdentity(join(folder, "stranger.key"))).peer;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a credential by invitation", () => {
  const check = (credential: Uint8Array, changes: object = {}) =>
    verifyCredential(credential, { clusterKey: key.publicKey, cluster, remotePeer: peer, ...changes });
  const own = () => createInvitedCredential(invitation, peer, oneTimeKey);

  test("R10: admits the peer that the one-time key names, as the node that the cluster's key names", () => {
    expect(check(own())).toMatchObject({ node, peer, invitation: { replaces: null } });
  });

  test("R10: forged: an invitation of another key, or a peer signed by another key", async () => {
    const { cluster: of, node: name, replaces, key: named } = invitation;
    const forged = createInvitation({ cluster: of, node: name, replaces, key: named }, otherKey);
    expect(() => check(createInvitedCredential(forged, peer, oneTimeKey))).toThrow(coded("NOT_ADMITTED"));
    const another = await OneTimeKey.draw();
    expect(() => check(createInvitedCredential(invitation, peer, another))).toThrow(coded("NOT_ADMITTED"));
    expect(() => check(own(), { clusterKey: otherKey.publicKey })).toThrow(coded("NOT_ADMITTED"));
  });

  test("R10: swapped: the invitation's name, its replaced node or its key under the old signature", async () => {
    const another = await OneTimeKey.draw();
    for (const swapped of [
      { ...invitation, node: nodeId("california-1") },
      { ...invitation, replaces: nodeId("california-1") },
    ]) {
      expect(() => check(createInvitedCredential(swapped, peer, oneTimeKey))).toThrow(coded("NOT_ADMITTED"));
    }
    const rekeyed = { ...invitation, key: another.publicKey.hex };
    expect(() => check(createInvitedCredential(rekeyed, peer, another))).toThrow(coded("NOT_ADMITTED"));
  });

  test("R10: replayed by another peer, or in another cluster", () => {
    expect(() => check(own(), { remotePeer: stranger })).toThrow(coded("NOT_ADMITTED"));
    expect(() => check(own(), { cluster: clusterId("alaska") })).toThrow(coded("WRONG_CLUSTER"));
  });

  test("R10: a second peer with the same token is refused once the name is bound, whatever its credential", () => {
    const second = createInvitedCredential(invitation, stranger, oneTimeKey);
    expect(check(second, { remotePeer: stranger })).toMatchObject({ node });
    const bound = { remotePeer: stranger, peerOf: () => peer };
    expect(() => check(second, bound)).toThrow(coded("TOKEN_USED"));
    const direct = createCredential({ cluster, partition: PARTITION, node, peer: stranger }, key);
    expect(() => check(direct, bound)).toThrow(coded("TOKEN_USED"));
    expect(check(own(), { peerOf: () => peer })).toMatchObject({ node });
  });

  test("R10: an invitation is no credential, and no byte of a credential can be changed", () => {
    const bytes = own();
    for (let at = 0; at < bytes.length; at++) {
      const altered = Uint8Array.from(bytes);
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect(() => check(altered), `byte ${at}`).toThrow(/peer|cluster|credential|version/);
    }
  });

  test("X1: an unknown version of an invitation, and a key that is none, are not admitted", () => {
    const [version, fields, name, signature] = tuple(decode(own()));
    const [, ...rest] = tuple(fields ?? null);
    const broken = encode([version ?? null, [2, ...rest], name ?? null, signature ?? null]);
    expect(() => check(broken)).toThrow(coded("NOT_ADMITTED"));
    const zeros = { ...invitation, key: "00".repeat(32) };
    expect(() => check(createInvitedCredential(zeros, peer, oneTimeKey))).toThrow(coded("NOT_ADMITTED"));
  });
});

describe("a token", () => {
  const token = (): JoinToken => ({
    invitation,
    oneTimeKey,
    clusterKey: key.publicKey,
    epochCounter: 3,
    addresses: ["/ip4/10.0.0.1/tcp/9101/p2p/12D3KooWGzBNFHtPEwQ7mAsjQ3bUMCjSsiv2Qu1Y3QXrJ9RZzZzZ"],
  });

  test("is one word that comes back as it was", async () => {
    const text = encodeToken(token());
    expect(text).toMatch(/^ocj_[\w-]+$/);
    const back = await parseToken(` ${text}\n`);
    expect(back).toMatchObject({ invitation, epochCounter: 3, addresses: token().addresses });
    expect(back.clusterKey.hex).toBe(key.publicKey.hex);
    // What it is for: a credential that the cluster's key alone can check.
    const credential = createInvitedCredential(back.invitation, peer, back.oneTimeKey);
    expect(verifyCredential(credential, { cluster, clusterKey: key.publicKey, remotePeer: peer })).toMatchObject({
      node,
    });
  });

  test("that is cut, altered, of another cluster's key or no token at all is refused before anybody is asked", async () => {
    const text = encodeToken(token());
    for (const wrong of ["", "ocj_", "shop", text.slice(0, -8), `${text}AAAA`, `ocj_${"A".repeat(9_000)}`]) {
      await expect(parseToken(wrong), wrong.slice(0, 12)).rejects.toThrow(coded("BAD_REQUEST"));
    }
    await expect(parseToken(encodeToken({ ...token(), clusterKey: otherKey.publicKey }))).rejects.toThrow(/signature/);
    const another = { ...token(), oneTimeKey: await OneTimeKey.draw() };
    await expect(parseToken(encodeToken(another))).rejects.toThrow(/signature/);
  });

  test("X1: of an unknown version is refused by name", async () => {
    const bytes = new Uint8Array(Buffer.from(encodeToken(token()).slice(4), "base64url"));
    const [, ...rest] = tuple(decode(bytes));
    const newer = `ocj_${Buffer.from(encode([2, ...rest])).toString("base64url")}`;
    await expect(parseToken(newer)).rejects.toThrow(coded("UNKNOWN_VERSION"));
  });
});

function tuple(value: Encodable): readonly Encodable[] {
  if (!Array.isArray(value)) throw new Error("no tuple");
  return value;
}
