import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type Epoch, isClusterId, isNodeId, type NodeId, PARTITION, revision } from "@openclaw/core/ids.ts";
import { createCredential, createInvitedCredential } from "@openclaw/edge-runtime/network/credential.ts";
import { Handshake } from "@openclaw/edge-runtime/network/handshake.ts";
import { ClusterKey, createIdentity, OneTimeKey } from "@openclaw/edge-runtime/network/identity.ts";
import { createInvitation } from "@openclaw/edge-runtime/network/invitation.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import { checked } from "../state-machine/one-cluster.ts";

const cluster = checked("shop", isClusterId);
const name = (text: string): NodeId => checked(text, isNodeId);
const epoch = (counter: number): Epoch => ({
  counter,
  nonce: String(counter).repeat(32),
  parent: null,
  departure: revision(0),
});

/** Two nodes of one cluster's key that are in different epochs, and call themselves the same or not. */
async function meeting(ours: number, theirs: number, invited: boolean, names: readonly [string, string]) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "openclaw-handshake-"));
  onTestFinished(() => fs.rm(folder, { recursive: true, force: true }));
  const key = await ClusterKey.create(path.join(folder, "cluster.key"));
  const stops: number[] = [];
  const [own, other] = names.map(name);
  if (own === undefined || other === undefined) throw new Error("two names");
  const [here, there] = [
    await createIdentity(path.join(folder, "here")),
    await createIdentity(path.join(folder, "there")),
  ];
  const oneTime = await OneTimeKey.draw();
  const invitation = createInvitation({ cluster, node: other, replaces: null, key: oneTime.publicKey.hex }, key);
  const credential = invited
    ? createInvitedCredential(invitation, there.peer, oneTime)
    : createCredential({ cluster, partition: PARTITION, node: other, peer: there.peer }, key);
  const shared = { cluster, clusterKey: key.publicKey };
  const local = new Handshake({
    ...shared,
    node: own,
    epoch: epoch(ours),
    credential: createCredential({ cluster, partition: PARTITION, node: own, peer: here.peer }, key),
    // Every name is bound to a peer that is not the one that comes.
    peerOf: (node) => (node === own ? here.peer : "12D3KooWSomebodyElse"),
    onHigherEpoch: ({ counter }) => stops.push(counter),
  });
  const remote = new Handshake({
    ...shared,
    node: other,
    epoch: epoch(theirs),
    credential,
    peerOf: () => null,
    onHigherEpoch: () => {},
  });
  return { local, remote, peer: there.peer, other, stops };
}

const codeOf = (run: () => unknown): string => {
  try {
    run();
    return "admitted";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
};

describe("L3: a name that another peer has", () => {
  test("within one epoch is refused", async () => {
    const { local, remote, peer } = await meeting(1, 1, false, ["shop-1", "shop-2"]);
    expect(codeOf(() => local.admit(remote.hello(), peer))).toBe("TOKEN_USED");
  });

  test("does not hide a higher epoch: the old node stops, whoever of the two dialled", async () => {
    for (const names of [
      ["shop-1", "shop-2"],
      ["shop-1", "shop-1"],
    ] as const) {
      const { local, remote, peer, other, stops } = await meeting(1, 2, false, names);
      expect(codeOf(() => local.admit(remote.hello(), peer))).toBe("WRONG_EPOCH");
      expect(codeOf(() => local.readAnswer(remote.welcome(), peer, other))).toBe("WRONG_EPOCH");
      expect(stops).toEqual([2, 2]);
    }
  });

  test("does not hide a lower one: the other is told, and this node goes on", async () => {
    const { local, remote, peer, stops } = await meeting(2, 1, true, ["shop-1", "shop-2"]);
    expect(codeOf(() => local.admit(remote.hello(), peer))).toBe("WRONG_EPOCH");
    expect(stops).toEqual([]);
  });

  test("R10: lets nobody end an epoch with a token that was used", async () => {
    const { local, remote, peer, stops } = await meeting(1, 9, true, ["shop-1", "shop-2"]);
    expect(codeOf(() => local.admit(remote.hello(), peer))).toBe("TOKEN_USED");
    expect(stops).toEqual([]);
  });
});
