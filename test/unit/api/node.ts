/** A real one-node cluster with its stores in memory, and the API in front of it. */

import { utf8 } from "@openclaw/core/bytes.ts";
import type { ClusterId, Epoch, NodeId, Revision } from "@openclaw/core/ids.ts";
import { revision } from "@openclaw/core/ids.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { Replica } from "@openclaw/core/replica.ts";
import { APPLY_VERSIONS } from "@openclaw/core/state-machine/apply.ts";
import { buildApi } from "@openclaw/edge-runtime/api/app.ts";
import { openAuthority } from "@openclaw/edge-runtime/api/auth.ts";
import type { ApiAuthority, ApiDeps, MembersDoor, SiteMember, UplinkDoor } from "@openclaw/edge-runtime/api/deps.ts";
import { Materialiser } from "@openclaw/edge-runtime/documents/materialise.ts";
import { Metrics } from "@openclaw/edge-runtime/metrics.ts";
import { LinkRefusals } from "@openclaw/edge-runtime/sync/link-refusals.ts";
import { systemClock, systemRandom } from "@openclaw/edge-runtime/system-ports.ts";
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { MemoryNetwork } from "../../simulation/memory-network.ts";
import { MemoryStateStore } from "../../simulation/memory-state-store.ts";
import { SimulatedLogStore } from "../../simulation/simulated-log-store.ts";

export const CLUSTER = "california" as ClusterId;
export const NODE = "california-1" as NodeId;
export const EPOCH: Epoch = { counter: 1, nonce: "ab".repeat(16), parent: null, departure: revision(0) };
const PEER = "12D3KooWGzBNFHtPEwQ7mAsjQ3bUMCjSsiv2Qu1Y3QXrJ9RZzZzZ";

export const MEMBERS: readonly SiteMember[] = [
  {
    node: NODE,
    peer: PEER,
    addresses: ["/ip4/127.0.0.1/tcp/9101", "/ip4/127.0.0.1/tcp/9201/ws"],
    http: "http://127.0.0.1:8101",
  },
];

export interface TestNode {
  readonly replica: Replica;
  readonly app: FastifyInstance;
  /** Puts straight into the replica; the revision it took. */
  put(key: string | Uint8Array, value: string | Uint8Array): Promise<Revision>;
  /** Listens on a free port of loopback and returns the base URL. */
  listen(): Promise<string>;
  stop(): Promise<void>;
}

export interface TestNodeOptions {
  readonly authority?: ApiAuthority;
  readonly origins?: readonly string[];
  readonly uplink?: UplinkDoor;
  readonly page?: string;
  readonly disk?: ApiDeps["disk"];
  readonly members?: MembersDoor;
  readonly replica?: (replica: Replica) => ApiDeps["replica"];
  readonly extend?: (app: FastifyInstance) => void;
  readonly onFatal?: (error: Error) => void;
}

const noBudget: ApiDeps["disk"] = {
  status: () => ({
    budget: null,
    files: null,
    used: null,
    full: false,
    refuses: null,
    shed: { copies: 0, log: 0, past: 0, unshipped: 0, writes: 0 },
    next: null,
  }),
};

export async function startTestNode(options: TestNodeOptions = {}): Promise<TestNode> {
  const onFatal =
    options.onFatal ??
    ((error: Error): never => {
      throw error;
    });
  const replica = new Replica({
    cluster: CLUSTER,
    id: NODE,
    membership: founding([NODE]),
    epoch: EPOCH,
    log: new SimulatedLogStore({ cluster: CLUSTER, node: NODE }),
    state: new MemoryStateStore({ cluster: CLUSTER, epoch: EPOCH, membership: founding([NODE]) }),
    transport: new MemoryNetwork(systemClock).transport(NODE),
    clock: systemClock,
    random: systemRandom,
    applyVersions: APPLY_VERSIONS,
    tickMs: 5,
    onFatal,
  });
  await replica.start();
  const documents = new Materialiser(replica);
  const uplink = options.uplink ?? null;
  const disk = options.disk ?? noBudget;
  const refusals = new LinkRefusals(systemClock);
  const app = await buildApi({
    replica: options.replica?.(replica) ?? replica,
    authority: options.authority ?? openAuthority,
    documents,
    presence: () => [],
    members: options.members ?? { list: () => MEMBERS, rows: () => [], removed: false },
    uplink,
    disk,
    refusals,
    metrics: new Metrics({
      replica,
      transportDrops: () => 0,
      disk: () => disk.status(),
      stateReads: () => 3,
      children: () => 2,
      presence: () => ({
        entries: 4,
        topics: 3,
        superseded: 7,
        old: 0,
        full: 0,
        refused: 1,
        published: 9,
        taken: 8,
        strange: 0,
        flooded: 0,
        malformed: 2,
      }),
      provisional: () => ({
        offered: 6,
        heard: 5,
        shown: 4,
        unread: 0,
        limited: 3,
        published: 6,
        strange: 0,
        flooded: 0,
        malformed: 1,
      }),
      refusals,
      refused: () => new Map([["SITE_PENDING", 3]]),
      uplink: () => uplink?.status() ?? null,
      certificateExpires: () => null,
    }),
    certificate: null,
    origins: options.origins ?? [],
    page: options.page ?? null,
    log: pino({ level: "silent" }),
    onFatal,
  });
  options.extend?.(app);
  return {
    replica,
    app,
    put: async (key, value) => {
      const outcome = await replica.execute(
        { kind: "put", key: bytes(key), value: bytes(value) },
        { principal: "test", timeoutMs: 5_000 },
      );
      if (!outcome.ok) throw new Error(outcome.code);
      return outcome.revision;
    },
    listen: () => app.listen({ host: "127.0.0.1", port: 0 }),
    stop: async () => {
      await app.close();
      await documents.stop();
      await replica.stop();
    },
  };
}

const bytes = (value: string | Uint8Array): Uint8Array => (typeof value === "string" ? utf8(value) : value);
