/**
 * One node, composed: host, stores, replica, the parent's and the child's side of sync, the API. Nothing here decides;
 * it only says what is made of what, and in which order it starts and stops.
 */

import { mkdir } from "node:fs/promises";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { Retention } from "@openclaw/core/history/retention.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { agreementText } from "@openclaw/core/replica/comparisons.ts";
import { DiskBudget } from "@openclaw/core/replica/disk-budget.ts";
import { retentionOf } from "@openclaw/core/replica/log-retention.ts";
import { Replica } from "@openclaw/core/replica.ts";
import { APPLY_VERSIONS } from "@openclaw/core/state-machine/apply.ts";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { buildApi } from "./api/app.ts";
import { openAuthority, tokenAuthority } from "./api/auth.ts";
import type { ApiAuthority } from "./api/deps.ts";
import { listen, renewCertificate } from "./api/listen.ts";
import { Certificate } from "./certificate.ts";
import { isLoopbackHost, type NodeConfig } from "./config.ts";
import { ChangeCheck } from "./documents/change-check.ts";
import { Materialiser } from "./documents/materialise.ts";
import { createLog } from "./log.ts";
import { MemberDirectory } from "./members.ts";
import { Metrics } from "./metrics.ts";
import { requireLoopback } from "./network/address.ts";
import { ClientPresence, clientPresenceTopic } from "./network/client-presence.ts";
import { loadCredential } from "./network/credential.ts";
import { createHost, type Host } from "./network/host.ts";
import { ClusterPublicKey, loadIdentity } from "./network/identity.ts";
import { JoinService } from "./network/join-service.ts";
import { keyring } from "./network/keyring.ts";
import { MemberGossip } from "./network/member-gossip.ts";
import { PRESENCE_TOPIC, PresenceGossip } from "./network/presence.ts";
import { ProvisionalGossip, provisionalTopic } from "./network/provisional-gossip.ts";
import type { RaftCounters } from "./network/raft-counters.ts";
import { RaftTransport } from "./network/raft-transport.ts";
import { encodeSiteCredential } from "./network/site-credential.ts";
import { advertised, bootstrapOf, ownAddresses } from "./own-addresses.ts";
import { sharedText } from "./shared-configuration.ts";
import { requireOwnData } from "./started.ts";
import { NodeDisk } from "./storage/disk-use.ts";
import { SegmentLogStore } from "./storage/log-store.ts";
import { SqliteStateStore } from "./storage/state-store.ts";
import { Children } from "./sync/children.ts";
import { LinkRefusals } from "./sync/link-refusals.ts";
import { SiteRegistry } from "./sync/site-registry.ts";
import { Uplink } from "./sync/uplink.ts";
import { systemClock, systemRandom } from "./system-ports.ts";

/** One Raft tick, ms: a heartbeat every second one, an election after 10 to 20. */
const TICK_MS = 50;

export interface RunningNode {
  readonly config: NodeConfig;
  /** Base URL of the HTTP API as it listens: a configured port 0 is the one that was taken. */
  readonly http: string;
  readonly replica: Replica;
  readonly children: Children;
  /** Links that wait for an operator. */
  readonly refusals: LinkRefusals;
  readonly sites: SiteRegistry;
  readonly members: MemberDirectory;
  readonly presence: PresenceGossip;
  /** Null without a parent. */
  readonly uplink: Uplink | null;
  readonly host: Host;
  readonly log: Logger;
  stop(): Promise<void>;
  /** Resolves when the node stopped by itself, with why: a disk it cannot vouch for, a broken invariant, a higher epoch. */
  readonly failed: Promise<Error>;
}

export interface NodeOptions {
  /** Adds routes before the API listens; what a hub is made of. */
  readonly extend?: (app: FastifyInstance, node: Omit<RunningNode, "http">) => void;
}

/**
 * Starts a node.
 * @throws OpenClawError CONFIG_INVALID, INSECURE_BIND, PORT_IN_USE, NOT_ADMITTED, DATA_IN_USE, DATA_FOREIGN, DATA_NEWER,
 * DATA_CORRUPT, DATA_MISSING, NODE_TOO_OLD, SQLITE_TOO_OLD, STORAGE_FAILED, UNKNOWN_VERSION
 */
export async function startNode(config: NodeConfig, options: NodeOptions = {}): Promise<RunningNode> {
  const started: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of started.splice(0).reverse()) await step();
  };
  try {
    return await compose(config, options, started, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function compose(
  config: NodeConfig,
  options: NodeOptions,
  started: (() => Promise<void>)[],
  stop: () => Promise<void>,
): Promise<RunningNode> {
  const { cluster, node: id, epoch } = config;
  const log = createLog({ level: config.logLevel, cluster, node: id });
  const authority = await authorityOf(config);
  const identity = await loadIdentity(config.identity);
  const clusterKey = new ClusterPublicKey(config.clusterKey);
  const remotePeer = identity.peer;
  const credential = await loadCredential(config.credential, { cluster, clusterKey, remotePeer });
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  await requireOwnData(config);

  const failure = Promise.withResolvers<Error>();
  let stopping: Promise<void> | null = null;
  const stopOnce = (): Promise<void> => {
    stopping ??= stop();
    return stopping;
  };
  const onFatal = (error: Error): void => {
    log.fatal({ err: error }, "the node stops");
    failure.resolve(error);
  };

  let leave = (): void => {};
  const http = advertised(config);
  const directory = new MemberDirectory({
    node: id,
    self: { peer: identity.peer, addresses: ownAddresses(config), http, supports: APPLY_VERSIONS.length },
    configured: config.members,
    joined: config.joined,
    clock: systemClock,
    log,
    onList: () => members.review(),
    onRemoved: () => {
      log.error("this node was removed from its cluster: it serves no longer");
      leave();
    },
  });
  const members = new MemberGossip({
    topics: [clientPresenceTopic(cluster), provisionalTopic(cluster)],
    isMember: (peer) => directory.list().some((member) => member.peer === peer),
  });
  const certificate = await Certificate.open(config.tls, systemClock, log);
  if (certificate !== null) started.push(async () => certificate.stop());
  const host = await createHost({
    identity,
    certificate: certificate?.pem ?? null,
    listen: config.listen,
    bootstrap: bootstrapOf(config, remotePeer),
    mdns: config.mdns,
    topics: [PRESENCE_TOPIC],
    members,
  });
  started.push(async () => host.stop());
  started.push(() => directory.stop());
  const transport = await RaftTransport.open({
    host,
    cluster,
    node: id,
    epoch,
    credential,
    clusterKey,
    onHigherEpoch: (theirs, peer) => {
      onFatal(new OpenClawError("WRONG_EPOCH", `${peer} is in epoch ${theirs.counter}, this node in ${epoch.counter}`));
    },
    peerOf: (node) => directory.peerOf(node),
    locate: (node) => directory.locate(node),
    clock: systemClock,
    random: systemRandom,
    log,
  });
  started.push(() => transport.stop());

  // A node that joins knows of no voters until the log tells it: it cannot campaign before.
  const membership = founding(config.joined ? [] : config.members.map((member) => member.node));
  const state = new SqliteStateStore({
    dataDir: config.dataDir,
    cluster,
    node: id,
    epoch,
    membership,
    cacheBytes: config.memory.stateCacheBytes,
  });
  let budget: DiskBudget | null = null;
  const replica = new Replica({
    cluster,
    id,
    membership,
    epoch,
    log: new SegmentLogStore({ dataDir: config.dataDir, cluster, node: id }),
    state,
    refusal: (command) => budget?.refusal(command) ?? null,
    transport,
    clock: systemClock,
    random: systemRandom,
    applyVersions: APPLY_VERSIONS,
    tickMs: TICK_MS,
    snapshotBytesPerSecond: config.snapshots.bytesPerSecond,
    retention: retentionOf(config.memory.logBytes),
    compareEveryMs: config.comparison.everyMinutes * 60_000,
    onFatal,
  });
  started.push(() => replica.stop());
  replica.onAgreement((agreement) => {
    if (agreement.kind === "sound") log.info("this node's state is what a majority holds again");
    else log.error({ agreement: agreement.kind, round: agreement.round }, agreementText(agreement));
  });
  await replica.start();

  const sites = await SiteRegistry.open({
    replica,
    cluster,
    node: id,
    epoch,
    clusterKey,
    clock: systemClock,
    log,
  });
  started.push(() => sites.stop());

  const presence = new PresenceGossip({
    host,
    clock: systemClock,
    log,
    credential,
    clusterKey: keyring(config, clusterKey, sites),
    peerOf: (of, node) => (of === cluster ? directory.peerOf(node) : null),
    self: () => {
      const { role, leader, term, revision, applied } = replica.status();
      const full = budget?.status().full ?? false;
      return { cluster, node: id, role, leader, term, revision, applied, http, full, at: systemClock.wall() };
    },
  });
  presence.start();
  started.push(async () => presence.stop());
  replica.onLeadership(() => presence.changed());

  const clients = ClientPresence.open({ host, members, cluster, clock: systemClock, log });
  started.push(() => clients.stop());
  const provisional = ProvisionalGossip.open({ host, members, cluster, clock: systemClock, log });
  started.push(() => provisional.stop());

  const changeCheck = new ChangeCheck();
  started.push(() => changeCheck.stop());
  const documents = new Materialiser(replica);
  started.push(() => documents.stop());

  const refusals = new LinkRefusals(systemClock);
  const children = await Children.open({
    host,
    replica,
    authority,
    changeCheck,
    sites,
    presence: clients.gateway,
    provisional: provisional.gateway,
    clock: systemClock,
    refusals,
    log,
  });
  started.push(() => children.stop());
  // Browsers and sites of a removed node look for another one.
  leave = () => void children.stop();

  const { parent } = config;
  const joins = await JoinService.open({
    host,
    cluster,
    node: id,
    epoch,
    credential,
    clusterKey,
    replica,
    directory,
    shared: sharedText(config),
    secured: authority.secured,
    clock: systemClock,
    log,
  });
  started.push(() => joins.stop());
  await directory.follow(replica);
  transport.greet(directory.list().map((member) => member.node));

  const uplink =
    parent === null
      ? null
      : new Uplink({
          host,
          replica,
          parent,
          limits: config.uplink,
          cluster,
          credential: encodeSiteCredential({ credential, enrolment: Buffer.from(parent.enrolment, "base64url") }),
          clock: systemClock,
          random: systemRandom,
          refusals,
          log,
        });
  if (uplink !== null) {
    uplink.start();
    started.push(() => uplink.stop());
  }

  const retention = new Retention({
    replica,
    clock: systemClock,
    limits: { ageMs: config.retention.age, bytes: config.retention.bytes },
    pinned: parent !== null,
    failed: (error) => log.warn({ err: error }, "the past was not cut to its limits; it is tried again"),
  });
  retention.start();
  started.push(async () => retention.stop());

  const disk = new DiskBudget({
    replica,
    clock: systemClock,
    disk: new NodeDisk(config.dataDir, state),
    budgetBytes: config.disk.budgetBytes,
    pinned: parent !== null,
    shedsUnshipped: !config.disk.keepUnshipped,
    saysFull: (node) => presence.rows().some((row) => row.cluster === cluster && row.node === node && row.full),
    told: (what, { used, budget: bytes, next }) => {
      log.warn({ used, budget: bytes, next }, what);
      presence.changed();
    },
    failed: (error) => log.warn({ err: error }, "the disk's use was not looked at; it is tried again"),
  });
  budget = disk;
  await disk.start();
  started.push(async () => disk.stop());

  const metrics = new Metrics({
    replica,
    disk: () => disk.status(),
    transportDrops: () => droppedBy(transport.counters),
    stateReads: () => state.reads,
    children: () => children.size,
    presence: () => clients.counts(),
    provisional: () => provisional.counts(),
    refusals,
    refused: () => children.refusals.byCode(),
    uplink: () => uplink?.status() ?? null,
    certificateExpires: () => certificate?.expires ?? null,
  });
  const app = await buildApi({
    replica,
    authority,
    documents,
    presence: () => presence.rowsOf(cluster),
    members: directory,
    uplink,
    disk,
    refusals,
    metrics,
    certificate: certificate?.pem ?? null,
    origins: config.http.origins,
    page: config.page,
    log,
    onFatal,
  });
  started.push(() => app.close());
  const running = {
    config,
    replica,
    children,
    refusals,
    sites,
    members: directory,
    presence,
    uplink,
    host,
    log,
    stop: stopOnce,
    failed: failure.promise,
  };
  options.extend?.(app, running);
  certificate?.follow((pem) => {
    renewCertificate(app, pem);
    host.services.certificate.renew(pem);
  });
  const address = await listen(app, config.http);
  log.info({ http: address, revision: replica.position().revision }, "node started");
  return { ...running, http: address };
}

async function authorityOf(config: NodeConfig): Promise<ApiAuthority> {
  if (config.auth !== null) return tokenAuthority(config.auth.publicKey);
  // X2: without credentials, loopback only.
  requireLoopback(config.listen);
  if (!isLoopbackHost(config.http.host)) throw new OpenClawError("INSECURE_BIND", `http.host ${config.http.host}`);
  return openAuthority;
}

const droppedBy = ({ droppedFull, droppedUnreachable, droppedTooLarge }: RaftCounters): number =>
  droppedFull + droppedUnreachable + droppedTooLarge;
