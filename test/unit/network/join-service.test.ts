/** R10, X1: whom a member takes in, and whom not. The group behind it is a stub that remembers what it was asked. */
import { utf8 } from "@openclaw/core/bytes.ts";
import type { MembershipChange } from "@openclaw/core/raft/membership.ts";
import { MemberDirectory } from "@openclaw/edge-runtime/members.ts";
import { FrameStream } from "@openclaw/edge-runtime/network/frame.ts";
import type { Host } from "@openclaw/edge-runtime/network/host.ts";
import {
  decodeAnswer,
  encodeRequest,
  JOIN_PROTOCOL,
  type JoinRequest,
} from "@openclaw/edge-runtime/network/join-protocol.ts";
import { JoinService } from "@openclaw/edge-runtime/network/join-service.ts";
import { JOINS_PER_MINUTE_MAX } from "@openclaw/edge-runtime/network/limits.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { clusterId, EPOCH, Libp2pCluster, type Member, nodeId, systemClock } from "./libp2p-cluster.ts";

let cluster: Libp2pCluster;
let host: Host;
let guestHost: Host;
let guest: Member;
let changes: MembershipChange[];

beforeAll(async () => {
  cluster = await Libp2pCluster.create(1);
  const node = nodeId("california-1");
  const member = cluster.members.get(node);
  if (member === undefined) throw new Error("one member");
  guest = await cluster.member(nodeId("california-2"));
  [host, guestHost] = [await cluster.host(member), await cluster.host(guest)];
  changes = [];
  const self = { peer: member.identity.peer, addresses: [], http: "http://127.0.0.1:1" };
  await JoinService.open({
    host,
    cluster: cluster.cluster,
    node,
    epoch: EPOCH,
    credential: member.credential,
    clusterKey: cluster.key.publicKey,
    replica: {
      propose: async () => ({ kind: "memberNoted", refused: null }),
      changeMembership: async (change) => void changes.push(change),
    },
    directory: new MemberDirectory({
      node,
      self: { ...self, supports: 1 },
      configured: [{ node, ...self }],
      joined: false,
      clock: systemClock,
      log: cluster.log,
      onRemoved: () => undefined,
    }),
    shared: "{}",
    secured: false,
    clock: systemClock,
    log: cluster.log,
  });
});
afterAll(async () => {
  await host.stop();
  await guestHost.stop();
  await cluster.destroy();
});

const request = (changed: Partial<JoinRequest> = {}): JoinRequest => ({
  cluster: cluster.cluster,
  credential: guest.credential,
  place: { peer: guest.identity.peer, addresses: ["/ip4/127.0.0.1/tcp/9102"], http: "http://127.0.0.1:8102" },
  supports: 1,
  ...changed,
});

/** The code of the refusal, or "admitted". */
async function ask(bytes: Uint8Array): Promise<string> {
  const frames = new FrameStream(await guestHost.dialProtocol(host.getMultiaddrs(), JOIN_PROTOCOL));
  const answered = Promise.withResolvers<Uint8Array>();
  frames.receive({
    message: (answer) => answered.resolve(answer),
    drained: () => undefined,
    closed: (reason) => answered.reject(reason ?? new Error("closed without an answer")),
  });
  frames.send(bytes);
  const answer = decodeAnswer(await answered.promise);
  frames.close();
  return "code" in answer ? answer.code : "admitted";
}

test("R10: takes in who has a credential, and nobody else, nor anybody for another", async () => {
  const place = request().place;
  expect(await ask(utf8("garbage"))).toBe("MALFORMED_FRAME");
  expect(await ask(encodeRequest(request({ cluster: clusterId("alaska") })))).toBe("WRONG_CLUSTER");
  const other = await cluster.member(nodeId("california-3"));
  expect(await ask(encodeRequest(request({ credential: other.credential })))).toBe("NOT_ADMITTED");
  const forAnother = request({ place: { ...place, peer: other.identity.peer } });
  expect(await ask(encodeRequest(forAnother))).toBe("NOT_ADMITTED");
  // X2: a cluster that asks nobody for a token stays on loopback.
  const outside = request({ place: { ...place, addresses: ["/ip4/10.0.0.2/tcp/9101"] } });
  expect(await ask(encodeRequest(outside))).toBe("INSECURE_BIND");
  expect(changes).toEqual([]);
  expect(await ask(encodeRequest(request()))).toBe("admitted");
  expect(changes).toEqual([{ kind: "add", node: guest.node, replaces: null }]);
});

test("X1: more requests than a minute may have are refused OVERLOADED", async () => {
  const codes: string[] = [];
  for (let at = 0; at <= JOINS_PER_MINUTE_MAX; at++) codes.push(await ask(utf8("garbage")));
  expect(codes[0]).toBe("MALFORMED_FRAME");
  expect(codes.at(-1)).toBe("OVERLOADED");
});
