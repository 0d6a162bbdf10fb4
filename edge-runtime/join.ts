/**
 * A new node's folder, made on its own box from a token: identity, credential, and, once a member has taken it in, its
 * configuration. Every step can be repeated: the identity is drawn once, and asking twice changes nothing.
 */

import { createSocket } from "node:dgram";
import { access, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Multiaddr } from "@multiformats/multiaddr";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type CertificateFiles, readPem } from "./certificate.ts";
import { isLoopbackHost, loadConfig } from "./config.ts";
import { certificateFrom, configText, listenAt } from "./init.ts";
import type { JoinToken } from "./join-token.ts";
import { createInvitedCredential, loadCredential, saveCredential } from "./network/credential.ts";
import { createHost } from "./network/host.ts";
import { createIdentity, loadIdentity, type NodeIdentity } from "./network/identity.ts";
import { callJoin, type Joined } from "./network/join-call.ts";
import { sharedFields } from "./shared-configuration.ts";

export interface JoinPlan {
  readonly token: JoinToken;
  readonly directory: string;
  /** Address to listen at; null: the one from which the members are reached. */
  readonly host: string | null;
  readonly httpPort: number;
  readonly p2pPort: number;
  readonly wsPort: number;
  /** The node's certificate, for browsers; null: http and ws only. */
  readonly tls: CertificateFiles | null;
  /** Look for members by mDNS as well. */
  readonly discover: boolean;
  /** Ms until it is given up. */
  readonly timeoutMs: number;
  readonly report: (line: string) => void;
}

/**
 * Path of the configuration with which the node starts.
 * @throws OpenClawError TOKEN_USED, REMOVED, NOT_ADMITTED, MEMBERSHIP_INVALID, INSECURE_BIND, CONFIG_INVALID; UNAVAILABLE
 * when no member could be asked
 */
export async function joinCluster(plan: JoinPlan): Promise<string> {
  const { directory, token, tls } = plan;
  if (tls !== null) await readPem(tls);
  const config = join(directory, "config.yaml");
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const identity = await ownIdentity(join(directory, "identity.key"));
  await ownCredential(join(directory, "credential"), identity, token);
  // Who has a configuration was taken in: it has nothing to ask any more.
  if (await exists(config)) {
    plan.report(`${directory} has joined already: its configuration stays as it is`);
    return config;
  }
  const joined = await asked(plan, identity);
  const next = `${config}.next`;
  await writeFile(next, textOf(plan, joined));
  await loadConfig(next);
  await rename(next, config);
  return config;
}

const ownIdentity = async (path: string): Promise<NodeIdentity> =>
  (await exists(path)) ? loadIdentity(path) : createIdentity(path);

/** @throws OpenClawError CONFIG_INVALID when the folder belongs to another node */
async function ownCredential(path: string, identity: NodeIdentity, token: JoinToken): Promise<void> {
  const { invitation, oneTimeKey, clusterKey } = token;
  const admission = { cluster: invitation.cluster, clusterKey, remotePeer: identity.peer };
  const wanted = createInvitedCredential(invitation, identity.peer, oneTimeKey);
  if (!(await exists(path))) await saveCredential(path, wanted);
  const found = await loadCredential(path, admission);
  if (Buffer.compare(found, wanted) !== 0) {
    throw new OpenClawError("CONFIG_INVALID", `${path} is of another node or token; choose another --dir`);
  }
}

async function asked(plan: JoinPlan, identity: NodeIdentity): Promise<Joined> {
  const { token, report, discover, timeoutMs } = plan;
  const { invitation, oneTimeKey, clusterKey, epochCounter, addresses } = token;
  const host = await createHost({ identity, listen: [], mdns: discover, topics: [] });
  try {
    return await callJoin({
      host,
      cluster: invitation.cluster,
      clusterKey,
      epochCounter,
      credential: createInvitedCredential(invitation, identity.peer, oneTimeKey),
      addresses,
      placeFor: async (member) => placeOf(plan, identity.peer, plan.host ?? (await addressTowards(member))),
      report,
      signal: AbortSignal.timeout(timeoutMs),
    });
  } finally {
    await host.stop();
  }
}

function placeOf({ httpPort, p2pPort, wsPort, tls }: JoinPlan, peer: string, host: string) {
  const { http, addresses } = listenAt(host, { http: httpPort, p2p: p2pPort, ws: wsPort }, tls);
  return { peer, addresses, http };
}

/** The address of ours that the system would use: a UDP socket that is connected sends nothing. */
async function addressTowards(member: Multiaddr): Promise<string> {
  const parts = member.getComponents();
  const host = parts.find(({ name }) => name === "ip4" || name === "ip6");
  const port = Number(parts.find(({ name }) => name === "tcp")?.value ?? 1);
  if (host?.value === undefined)
    throw new OpenClawError("BAD_REQUEST", `say with --host where to listen: ${member} has no IP address`);
  const socket = createSocket(host.name === "ip6" ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.connect(port, host.value, resolve);
    });
    return socket.address().address;
  } finally {
    socket.close();
  }
}

function textOf({ token, directory, httpPort, tls }: JoinPlan, { place, epoch, members, shared }: Joined): string {
  const { cluster, node } = token.invitation;
  return configText({
    version: 1,
    cluster,
    node,
    joined: true,
    dataDir: "./data",
    identity: "./identity.key",
    credential: "./credential",
    clusterKey: token.clusterKey.hex,
    epoch,
    http: { host: new URL(place.http).hostname.replace(/^\[|\]$/g, ""), port: httpPort },
    listen: place.addresses,
    members: [
      ...members.map(({ node: name, peer, addresses, http }) => ({ node: name, peer, addresses, http })),
      { node, ...place },
    ],
    mdns: !isLoopbackHost(new URL(place.http).hostname),
    ...(tls === null ? {} : { tls: certificateFrom(directory, tls) }),
    ...sharedFields(shared),
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
