/** A node that starts tells its peers so: nobody's pause between two dials is part of its start. */
import type { Clock } from "@openclaw/core/ports.ts";
import { REDIAL_MS_MAX } from "@openclaw/edge-runtime/network/limits.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { numbered } from "../../contracts/transport.ts";
import { Libp2pCluster, nodeId, systemClock } from "./libp2p-cluster.ts";

const a = nodeId("california-1");
const b = nodeId("california-2");
const WAIT = { timeout: 20_000, interval: 5 };

/** No pause between two dials ends by itself. */
const patientClock: Clock = {
  ...systemClock,
  after: (ms, callback) => (ms <= REDIAL_MS_MAX ? () => {} : systemClock.after(ms, callback)),
};

let cluster: Libp2pCluster;
beforeEach(async () => {
  cluster = await Libp2pCluster.create(2);
});
afterEach(() => cluster.destroy());

test("a peer that pauses after a failed dial dials a node that greets it, with nothing to say", async () => {
  const member = cluster.members.get(a);
  if (member === undefined) throw new Error("no member");
  const host = await cluster.host(member);
  cluster.hosts.set(a, host);
  const ta = await cluster.transportOf(member, host, { clock: patientClock });
  cluster.transports.set(a, ta);
  ta.receive({ messages: () => undefined, snapshot: () => Promise.resolve() });
  ta.send(b, [numbered(a, b, 0)]);
  await vi.waitFor(() => expect(ta.links()).toMatchObject([{ peer: b, state: "pausing" }]), WAIT);

  const tb = await cluster.start(b);
  tb.receive({ messages: () => undefined, snapshot: () => Promise.resolve() });
  // Itself and a node that nobody knows are passed over.
  tb.greet([a, b, cluster.absent]);
  await vi.waitFor(() => {
    expect(tb.links()).toMatchObject([{ peer: a, state: "open" }]);
    expect(ta.links()).toMatchObject([{ peer: b, state: "open" }]);
  }, WAIT);
});
