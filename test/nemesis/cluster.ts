/** A cluster under attack: real nodes in processes of their own, secured by tokens, so that they may bind any address. */
import fs from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { NodeProcess } from "@openclaw/demo/node-process.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { type ClusterPlan, initCluster } from "@openclaw/edge-runtime/init.ts";
import { exportSPKI, generateKeyPair, SignJWT } from "jose";
import { parseDocument } from "yaml";
import { z } from "zod";
import type { Namespaces } from "./namespaces.ts";

/** The `openclaw` command. */
export const PROGRAM: string = fileURLToPath(new URL("../../edge-runtime/cli/openclaw.ts", import.meta.url));
const LOOPBACK = "127.0.0.1";
/** Seconds that the clients' token is valid: longer than any run. */
const TOKEN_SECONDS = 30 * 24 * 3_600;
const STATUS_MS = 3_000;
/** Hashing reads the whole state. */
const HASH_MS = 30_000;

const nodeStatus = z.object({
  role: z.string(),
  leader: z.string().nullable(),
  term: z.number(),
  applied: z.number(),
  revision: z.number(),
  recoveringTo: z.number().nullable(),
  /** Null without an uplink. */
  parent: z.object({ holds: z.number() }).nullable(),
  state: z.object({ hash: z.string(), rows: z.number(), revision: z.number(), ledgerHash: z.string() }).optional(),
});
export type NodeStatus = z.infer<typeof nodeStatus>;

/** What is removed after a run in which all was well. */
export const clustersIn = (folder: string): string => path.join(folder, "clusters");

const membership = z.object({
  joint: z.boolean(),
  members: z.array(z.object({ node: z.string(), role: z.string() })),
});

/** A machine: where a member runs, and its successor after it. */
export interface Box {
  /** From 0 on. */
  readonly place: number;
  readonly host: string;
  readonly ports: { readonly http: number; readonly p2p: number; readonly ws: number };
  /** A command that becomes another one on it. */
  readonly within: readonly string[];
}

export interface Member extends Box {
  readonly name: string;
  readonly http: string;
  /** Its TCP address with the peer id. */
  readonly address: string;
  /** Of its configuration, its keys and its data. */
  readonly folder: string;
  readonly dataFolder: string;
  readonly process: NodeProcess;
}

export interface RealCluster {
  /** One a place, those of now; another array when one of them is succeeded. */
  readonly members: readonly Member[];
  /** With those that were. */
  readonly everyone: readonly Member[];
  readonly name: string;
  /** The operator's folder, with the cluster's key. */
  readonly directory: string;
  /** Lets its bearer do everything. */
  readonly token: string;
  /** What a node says of itself, null if it says nothing. */
  status(member: Member): Promise<NodeStatus | null>;
  /** With a hash over every row. */
  hashedStatus(member: Member): Promise<NodeStatus | null>;
  /** Names of the voters as that node sees them, sorted; null if it says nothing, or of a change that is under way. */
  voters(member: Member): Promise<readonly string[] | null>;
  /** Who leads as most see it; null if nobody knows of one. */
  leader(): Promise<Member | null>;
  /** The node whose folder was made on the box of `old` takes its place; nothing is started. */
  succeed(old: Member, folder: string): Promise<Member>;
}

/** Machines for so many nodes; where nodes share the loopback, each has ports of its own. */
export async function layOutBoxes(count: number, namespaces: Namespaces | null): Promise<readonly Box[]> {
  const ports = await freePorts(Array.from({ length: 3 * count }, () => null));
  return Array.from({ length: count }, (_, place) => {
    const [http = 0, p2p = 0, ws = 0] = ports.slice(3 * place);
    const within = namespaces?.within(place) ?? [];
    return { place, host: namespaces?.host(place) ?? LOOPBACK, ports: { http, p2p, ws }, within };
  });
}

export interface ClusterOptions {
  /** Of the run. */
  readonly folder: string;
  readonly name: string;
  /** One a node. */
  readonly boxes: readonly Box[];
  /** The command that starts a node. */
  readonly program: string;
  readonly parent: NonNullable<ClusterPlan["parent"]> | null;
  readonly report: (text: string) => void;
}

/** Nothing runs yet. */
export async function layOutCluster(options: ClusterOptions): Promise<RealCluster> {
  const { folder, name, boxes, program, parent, report } = options;
  const keys = await generateKeyPair("EdDSA");
  const token = await new SignJWT({ read: [""], write: [""], admin: true })
    .setProtectedHeader({ alg: "EdDSA" })
    .setSubject(name)
    .setExpirationTime(Math.floor(Date.now() / 1_000) + TOKEN_SECONDS)
    .sign(keys.privateKey);
  const publicKey = await exportSPKI(keys.publicKey);

  const directory = path.join(clustersIn(folder), name);
  const made = await initCluster({
    ...{ directory, cluster: name, nodes: boxes.length, host: LOOPBACK },
    httpPorts: boxes.map(({ ports }) => ports.http),
    p2pPorts: boxes.map(({ ports }) => ports.p2p),
    wsPorts: boxes.map(({ ports }) => ports.ws),
    ...(parent === null ? {} : { parent }),
  });
  const hostOfPort = new Map(boxes.flatMap(({ host, ports }) => Object.values(ports).map((port) => [port, host])));
  const moved = (text: string): string =>
    text.replaceAll(/127\.0\.0\.1(\/tcp\/|:)(\d+)/g, (whole: string, between: string, port: string) => {
      const host = hostOfPort.get(Number(port));
      return host === undefined ? whole : `${host}${between}${port}`;
    });

  /** From its configuration, which is also what a node that joined has. */
  const memberOn = async (box: Box, nodeFolder: string): Promise<Member> => {
    const file = path.join(nodeFolder, "config.yaml");
    const config = await loadConfig(file);
    const self = config.members.find(({ node }) => node === config.node);
    if (self === undefined) throw new Error(`${config.node} is a member of its own configuration`);
    const spec = {
      name: config.node,
      args: [program, "node", "start", "--config", file],
      http: self.http,
      logFile: path.join(folder, `${config.node}.log`),
      ...(box.within.length === 0 ? {} : { within: box.within }),
    };
    return {
      ...box,
      name: config.node,
      http: self.http,
      address: `${self.addresses[0]}/p2p/${self.peer}`,
      folder: nodeFolder,
      dataFolder: config.dataDir,
      process: new NodeProcess(spec, { report, started: () => undefined }),
    };
  };

  let members: readonly Member[] = [];
  for (const [at, box] of boxes.entries()) {
    const config = made.nodes[at]?.config;
    if (config === undefined) throw new Error("a cluster has a node a box");
    const document = parseDocument(moved(await fs.readFile(config, "utf8")));
    document.setIn(["http", "host"], box.host);
    document.set("auth", document.createNode({ publicKey }));
    await fs.writeFile(config, document.toString());
    const member = await memberOn(box, path.dirname(config));
    await fs.mkdir(member.dataFolder);
    members = [...members, member];
  }
  const everyone: Member[] = [...members];

  const ask = async <T>(member: Member, route: string, schema: z.ZodType<T>, ms: number): Promise<T | null> => {
    try {
      const headers = { authorization: `Bearer ${token}` };
      const response = await fetch(`${member.http}${route}`, { headers, signal: AbortSignal.timeout(ms) });
      const body: unknown = await response.json();
      return response.ok ? schema.parse(body) : null;
    } catch (error) {
      if (error instanceof z.ZodError) throw error;
      return null; // dead, stopped or starting
    }
  };
  const status = (member: Member): Promise<NodeStatus | null> => ask(member, "/v1/status", nodeStatus, STATUS_MS);
  return {
    get members() {
      return members;
    },
    everyone,
    name,
    directory,
    token,
    status,
    hashedStatus: (member) => ask(member, "/v1/status?hash=true", nodeStatus, HASH_MS),
    async voters(member) {
      const answer = await ask(member, "/v1/members", membership, STATUS_MS);
      if (answer === null || answer.joint) return null;
      return answer.members.flatMap(({ node, role }) => (role === "voter" ? [node] : [])).sort();
    },
    async leader() {
      const answers = await Promise.all(members.map(status));
      // Of two that think they lead, the one of the later term does.
      let found: { readonly term: number; readonly leader: string } | null = null;
      for (const answer of answers) {
        if (answer?.leader != null && (found === null || answer.term > found.term))
          found = { term: answer.term, leader: answer.leader };
      }
      return members.find(({ name }) => name === found?.leader) ?? null;
    },
    async succeed({ place, host, ports: own, within }, nodeFolder) {
      const successor = await memberOn({ place, host, ports: own, within }, nodeFolder);
      members = members.map((member) => (member.place === place ? successor : member));
      everyone.push(successor);
      return successor;
    },
  };
}
