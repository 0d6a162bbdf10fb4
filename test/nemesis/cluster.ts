/** The cluster under attack: real nodes in processes of their own, secured by tokens, so that they may bind any address. */
import fs from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { NodeProcess } from "@openclaw/demo/node-process.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { initCluster } from "@openclaw/edge-runtime/init.ts";
import { exportSPKI, generateKeyPair, SignJWT } from "jose";
import { parseDocument } from "yaml";
import { z } from "zod";
import type { Namespaces } from "./namespaces.ts";

/** The `openclaw` command. */
export const PROGRAM: string = fileURLToPath(new URL("../../edge-runtime/cli/openclaw.ts", import.meta.url));
const CLUSTER = "nemesis";
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
  state: z.object({ hash: z.string(), rows: z.number(), revision: z.number(), ledgerHash: z.string() }).optional(),
});
export type NodeStatus = z.infer<typeof nodeStatus>;

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

export interface ClusterOptions {
  readonly folder: string;
  readonly nodes: number;
  readonly namespaces: Namespaces | null;
  readonly report: (text: string) => void;
}

/** Nothing runs yet. */
export async function layOutCluster({ folder, nodes, namespaces, report }: ClusterOptions): Promise<RealCluster> {
  const keys = await generateKeyPair("EdDSA");
  const token = await new SignJWT({ read: [""], write: [""], admin: true })
    .setProtectedHeader({ alg: "EdDSA" })
    .setSubject(CLUSTER)
    .setExpirationTime(Math.floor(Date.now() / 1_000) + TOKEN_SECONDS)
    .sign(keys.privateKey);
  const publicKey = await exportSPKI(keys.publicKey);

  const ports = await freePorts(Array.from({ length: 3 * nodes }, () => null));
  const [httpPorts = [], p2pPorts = [], wsPorts = []] = [0, 1, 2].map((i) => ports.slice(i * nodes, (i + 1) * nodes));
  const plan = { directory: path.join(folder, CLUSTER), cluster: CLUSTER, nodes, host: "127.0.0.1" };
  const made = await initCluster({ ...plan, httpPorts, p2pPorts, wsPorts });
  const hostOfPort = new Map(ports.map((port, i) => [port, namespaces?.host(i % nodes) ?? plan.host]));
  const moved = (text: string): string =>
    text.replaceAll(/127\.0\.0\.1(\/tcp\/|:)(\d+)/g, (_, between: string, port: string) => {
      return `${hostOfPort.get(Number(port))}${between}${port}`;
    });

  /** From its configuration, which is also what a node that joined has. */
  const memberOn = async (box: Box, nodeFolder: string): Promise<Member> => {
    const file = path.join(nodeFolder, "config.yaml");
    const config = await loadConfig(file);
    const self = config.members.find(({ node }) => node === config.node);
    if (self === undefined) throw new Error(`${config.node} is a member of its own configuration`);
    const spec = {
      name: config.node,
      args: [PROGRAM, "node", "start", "--config", file],
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
  for (const [place, { config }] of made.nodes.entries()) {
    const document = parseDocument(moved(await fs.readFile(config, "utf8")));
    const host = namespaces?.host(place) ?? plan.host;
    document.setIn(["http", "host"], host);
    document.set("auth", document.createNode({ publicKey }));
    await fs.writeFile(config, document.toString());
    const [http = 0, p2p = 0, ws = 0] = [httpPorts[place], p2pPorts[place], wsPorts[place]];
    const box: Box = { place, host, ports: { http, p2p, ws }, within: namespaces?.within(place) ?? [] };
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
    directory: plan.directory,
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
