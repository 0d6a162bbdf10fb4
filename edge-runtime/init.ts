/**
 * A new cluster's folder: the cluster's key, and for every node its identity, its credential and its configuration.
 *
 *   DIRECTORY/cluster.key            private, mode 0600; keep it offline: running nodes do not need it
 *   DIRECTORY/operator.key           private, mode 0600; signs bearer tokens (`openclaw token`), where the nodes ask for them
 *   DIRECTORY/NODE/config.yaml, identity.key, credential
 */
import { randomBytes } from "node:crypto";
import type { Dirent } from "node:fs";
import { access, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { isAbsolute, join, relative, resolve } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Epoch, isClusterId, isNodeId, PARTITION, revision } from "@openclaw/core/ids.ts";
import { Document } from "yaml";
import { type CertificateFiles, readPem } from "./certificate.ts";
import { isLoopbackHost, loadConfig } from "./config.ts";
import { createCredential, saveCredential } from "./network/credential.ts";
import { adoptTokenKey, ClusterKey, createIdentity, createTokenKey } from "./network/identity.ts";
import { parentOf, type Subscribed } from "./parent-configuration.ts";
import type { SiteToken } from "./site-token.ts";
import { markStarted } from "./started-marker.ts";

export const CONFIG_FILE = "config.yaml";
export const KEY_FILE = "cluster.key";
export const TOKEN_KEY_FILE = "operator.key";
const NODES_MAX = 7;

export interface ClusterPlan {
  readonly directory: string;
  readonly cluster: string;
  /** How many nodes, 1 to 7. */
  readonly nodes: number;
  readonly host: string;
  /** One for each node, in each of the three. */
  readonly httpPorts: readonly number[];
  readonly p2pPorts: readonly number[];
  readonly wsPorts: readonly number[];
  readonly parent?: { readonly token: SiteToken; readonly subscribe: Subscribed };
  /** A folder served at /. */
  readonly page?: string;
  /** The certificate of every node, for browsers. */
  readonly tls?: CertificateFiles;
  readonly logLevel?: string;
  /** Ask callers for tokens, also on loopback; elsewhere the nodes always do (X2). */
  readonly tokens?: boolean;
  /** Of a cluster that goes on from an earlier one; absent: a cluster of its own, in its first epoch. */
  readonly departed?: Departure;
}

/** What a cluster that was restored has of the one before (L3). */
export interface Departure {
  readonly epoch: Epoch;
  /** The private key of the cluster: a file, which is copied. */
  readonly key: string;
  /** The key that signs bearer tokens; null: a new one where tokens are asked for. */
  readonly operatorKey: string | null;
}

export interface InitialNode {
  readonly node: string;
  /** Path of its configuration. */
  readonly config: string;
  readonly peer: string;
  readonly http: string;
  /** Multiaddrs with /p2p, TCP first. */
  readonly addresses: readonly string[];
}

export interface InitialCluster {
  readonly cluster: string;
  /** The public key, 64 hex digits: what a parent pins. */
  readonly clusterKey: string;
  readonly nodes: readonly InitialNode[];
  /** True when callers are asked for tokens. */
  readonly secured: boolean;
}

/**
 * Leaves nothing behind that it made when it fails: half a folder would be taken for a cluster by the next try.
 * @throws OpenClawError CONFIG_INVALID when the plan is not valid, the certificate is not sound or the folder already holds a
 * cluster; WRONG_CLUSTER when the parent's token is for another site
 */
export async function initCluster(plan: ClusterPlan): Promise<InitialCluster> {
  const made: string[] = [];
  try {
    return await layOut(plan, made);
  } catch (error) {
    for (const path of made.reverse()) await rm(path, { recursive: true, force: true });
    throw error;
  }
}

/** @param made what was made so far, outermost first */
async function layOut(plan: ClusterPlan, made: string[]): Promise<InitialCluster> {
  const { directory, cluster, host } = plan;
  if (!isClusterId(cluster))
    throw new OpenClawError("CONFIG_INVALID", `${cluster} is no cluster name: lower-case letters, digits and dashes`);
  if (!Number.isInteger(plan.nodes) || plan.nodes < 1 || plan.nodes > NODES_MAX) {
    throw new OpenClawError("CONFIG_INVALID", `a cluster has 1 to ${NODES_MAX} nodes`);
  }
  const tls = plan.tls ?? null;
  if (tls !== null) await readPem(tls);
  const outermost = await mkdir(directory, { recursive: true });
  if (outermost !== undefined) made.push(outermost);
  if (await exists(join(directory, KEY_FILE))) {
    throw new OpenClawError(
      "CONFIG_INVALID",
      `${directory} already holds a cluster; choose another folder or remove it`,
    );
  }
  const { departed } = plan;
  const keyFile = join(directory, KEY_FILE);
  const key = await (departed === undefined ? ClusterKey.create(keyFile) : ClusterKey.adopt(departed.key, keyFile));
  made.push(keyFile);
  const clusterKey = key.publicKey.hex;
  const open = isLoopbackHost(host);
  const operatorKey = departed?.operatorKey ?? null;
  const secured = plan.tokens === true || !open || operatorKey !== null;
  const tokenFile = join(directory, TOKEN_KEY_FILE);
  const auth = secured ? { publicKey: await tokenKey(operatorKey, tokenFile) } : null;
  if (secured) made.push(tokenFile);
  const parent =
    plan.parent === undefined ? null : parentOf(plan.parent.token, { cluster, clusterKey }, plan.parent.subscribe);
  const epoch = departed?.epoch ?? {
    counter: 1,
    nonce: randomBytes(16).toString("hex"),
    parent: null,
    departure: revision(0),
  };

  const members = [];
  for (let at = 0; at < plan.nodes; at++) {
    const node = `${cluster}-${at + 1}`;
    if (!isNodeId(node))
      throw new OpenClawError("CONFIG_INVALID", `${node} is no node name: the cluster's name is too long`);
    const folder = join(directory, node);
    await mkdir(folder);
    made.push(folder);
    const identity = join(folder, "identity.key");
    const { peer } = await createIdentity(identity);
    // Without the data that are to be restored it is no node: it would found an empty cluster of the new epoch.
    if (departed !== undefined) await markStarted(identity);
    await saveCredential(
      join(folder, "credential"),
      createCredential({ cluster, partition: PARTITION, node, peer }, key),
    );
    const ports = {
      http: portOf(plan.httpPorts, at, "http"),
      p2p: portOf(plan.p2pPorts, at, "p2p"),
      ws: portOf(plan.wsPorts, at, "ws"),
    };
    members.push({ node, peer, ...listenAt(host, ports, tls), httpPort: ports.http, folder });
  }

  const nodes: InitialNode[] = [];
  for (const { node, peer, addresses, http, httpPort, folder } of members) {
    const config = join(folder, CONFIG_FILE);
    await writeFile(
      config,
      configText({
        version: 1,
        cluster,
        node,
        dataDir: "./data",
        identity: "./identity.key",
        credential: "./credential",
        clusterKey,
        epoch,
        http: { host, port: httpPort },
        listen: addresses,
        members: members.map((member) => ({
          node: member.node,
          peer: member.peer,
          addresses: member.addresses,
          http: member.http,
        })),
        ...(parent === null ? {} : { parent }),
        ...(plan.page === undefined ? {} : { page: pathFrom(folder, plan.page) }),
        ...(tls === null ? {} : { tls: certificateFrom(folder, tls) }),
        ...(auth === null ? {} : { auth }),
        // So that new nodes find these; on loopback there is nobody to find.
        ...(open ? {} : { mdns: true }),
        ...(plan.logLevel === undefined ? {} : { logLevel: plan.logLevel }),
      }),
      { flag: "wx" },
    );
    await loadConfig(config); // what we wrote must be what we read
    nodes.push({ node, config, peer, http, addresses: addresses.map((address) => `${address}/p2p/${peer}`) });
  }
  return { cluster, clusterKey, nodes, secured };
}

const tokenKey = (operatorKey: string | null, path: string) =>
  operatorKey === null ? createTokenKey(path) : adoptTokenKey(operatorKey, path);

/** @throws OpenClawError CONFIG_INVALID when it is no folder */
export async function configsIn(directory: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await entriesOf(directory)) {
    const file = join(directory, entry.name, CONFIG_FILE);
    if (entry.isDirectory() && (await exists(file))) files.push(file);
  }
  return files.sort();
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    throw new OpenClawError("CONFIG_INVALID", `${directory} is no folder that can be read`, { cause: error });
  }
}

/** A path as a configuration in that folder says it. */
const pathFrom = (folder: string, path: string): string => (isAbsolute(path) ? path : relative(folder, resolve(path)));

export const certificateFrom = (folder: string, { certificate, key }: CertificateFiles): CertificateFiles => ({
  certificate: pathFrom(folder, certificate),
  key: pathFrom(folder, key),
});

/** Where a node with these ports is, as others reach it. */
export function listenAt(
  host: string,
  ports: { readonly http: number; readonly p2p: number; readonly ws: number },
  tls: CertificateFiles | null,
) {
  const ip = host.includes(":") ? `/ip6/${host}` : `/ip4/${host}`;
  return {
    addresses: [`${ip}/tcp/${ports.p2p}`, `${ip}/tcp/${ports.ws}/${tls === null ? "ws" : "tls/ws"}`],
    http: `${tls === null ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${ports.http}`,
  };
}

export function configText(fields: Record<string, unknown>): string {
  const document = new Document(fields, { aliasDuplicateObjects: false });
  document.commentBefore =
    " A node of OpenClaw. Relative paths are relative to this file.\n" +
    (fields.joined === true
      ? " `members` are where this node first looks for the others; `clusterKey` is the cluster's public key."
      : " `members` are the founding voters; `clusterKey` is the cluster's public key.");
  return document.toString({ lineWidth: 0 });
}

function portOf(ports: readonly number[], at: number, what: string): number {
  const port = ports[at];
  if (port === undefined) throw new OpenClawError("CONFIG_INVALID", `node ${at + 1} has no ${what} port`);
  return port;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
