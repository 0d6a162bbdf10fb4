/** The cluster under attack: real nodes in processes of their own, secured by tokens, so that they may bind any address. */
import fs from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { NodeProcess } from "@openclaw/demo/node-process.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { initCluster } from "@openclaw/edge-runtime/init.ts";
import { exportSPKI, generateKeyPair, SignJWT } from "jose";
import { parseDocument } from "yaml";
import { z } from "zod";
import type { Namespaces } from "./namespaces.ts";

const PROGRAM = fileURLToPath(new URL("../../edge-runtime/cli/openclaw.ts", import.meta.url));
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

export interface Member {
  /** Its place, from 0 on. */
  readonly place: number;
  readonly name: string;
  readonly http: string;
  /** Its TCP address with the peer id. */
  readonly address: string;
  readonly dataFolder: string;
  readonly process: NodeProcess;
}

export interface RealCluster {
  readonly members: readonly Member[];
  /** Lets its bearer do everything. */
  readonly token: string;
  /** What a node says of itself, null if it says nothing. */
  status(member: Member): Promise<NodeStatus | null>;
  /** With a hash over every row. */
  hashedStatus(member: Member): Promise<NodeStatus | null>;
  /** Who leads as most see it; null if nobody knows of one. */
  leader(): Promise<Member | null>;
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

  const members: Member[] = [];
  for (const [place, { node: name, config, http, addresses }] of made.nodes.entries()) {
    const document = parseDocument(moved(await fs.readFile(config, "utf8")));
    document.setIn(["http", "host"], namespaces?.host(place) ?? plan.host);
    document.set("auth", document.createNode({ publicKey }));
    await fs.writeFile(config, document.toString());
    const dataFolder = path.join(path.dirname(config), "data");
    await fs.mkdir(dataFolder);
    const spec = {
      name,
      args: [PROGRAM, "node", "start", "--config", config],
      http: moved(http),
      logFile: path.join(folder, `${name}.log`),
      ...(namespaces === null ? {} : { within: namespaces.within(place) }),
    };
    const own = new NodeProcess(spec, { report, started: () => undefined });
    members.push({ place, name, http: moved(http), address: moved(addresses[0] ?? ""), dataFolder, process: own });
  }

  const ask = async (member: Member, query: string, ms: number): Promise<NodeStatus | null> => {
    try {
      const headers = { authorization: `Bearer ${token}` };
      const response = await fetch(`${member.http}/v1/status${query}`, { headers, signal: AbortSignal.timeout(ms) });
      const body: unknown = await response.json();
      return response.ok ? nodeStatus.parse(body) : null;
    } catch (error) {
      if (error instanceof z.ZodError) throw error;
      return null; // dead, stopped or starting
    }
  };
  const status = (member: Member): Promise<NodeStatus | null> => ask(member, "", STATUS_MS);
  return {
    members,
    token,
    status,
    hashedStatus: (member) => ask(member, "?hash=true", HASH_MS),
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
  };
}
