/** The other side: three nodes of the installed etcd on loopback, with its defaults. */
import path from "node:path";
import { freePorts } from "@openclaw/demo/ports.ts";
import { BenchCluster, type BenchNode, type KvClient, type Rival } from "./cluster.ts";
import { etcdGrpcClient, etcdGrpcLoader } from "./etcd-grpc.ts";
import { HttpClient } from "./http.ts";
import { NODES, VALUE_BYTES } from "./sizes.ts";
import { versionOf } from "./version-of.ts";
import type { Workbench } from "./workbench.ts";

const COMMAND = "etcd";

export const ETCD: Rival = {
  name: "etcd",
  version: () => versionOf(COMMAND),
  install: "on Debian: apt-get install etcd-server",
};

export async function startEtcd(workbench: Workbench): Promise<BenchCluster> {
  const directory = workbench.folder();
  const ports = await freePorts(Array.from({ length: 2 * NODES }, () => null));
  const members = Array.from({ length: NODES }, (_, i) => ({
    name: `n${i + 1}`,
    client: `http://127.0.0.1:${ports[i]}`,
    peer: `http://127.0.0.1:${ports[NODES + i]}`,
  }));
  const initial = members.map(({ name, peer }) => `${name}=${peer}`).join(",");
  const nodes = members.map(({ name, client, peer }): BenchNode => {
    const args = ["--name", name, "--data-dir", path.join(directory, name)];
    args.push("--listen-client-urls", client, "--advertise-client-urls", client);
    args.push("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer);
    args.push("--initial-cluster", initial, "--initial-cluster-token", "openclaw-bench");
    args.push("--logger", "zap", "--log-level", "warn");
    return {
      process: workbench.process(COMMAND, args, path.join(directory, `${name}.log`)),
      folder: path.join(directory, name),
      loader: async () => etcdGrpcLoader(client.slice("http://".length)),
      client: async (api, callers, timeoutMs) =>
        api === "http"
          ? gatewayClient(new HttpClient(client, callers, timeoutMs))
          : etcdGrpcClient(client.slice("http://".length)),
      leads: () => leads(client),
    };
  });
  return BenchCluster.start("etcd", nodes);
}

async function leads(base: string): Promise<boolean> {
  const response = await fetch(`${base}/v3/maintenance/status`, { method: "POST", body: "{}" });
  const status: unknown = await response.json();
  if (typeof status !== "object" || status === null || !("leader" in status) || !("header" in status))
    throw new Error("etcd names no leader");
  const { header, leader } = status;
  return typeof header === "object" && header !== null && "member_id" in header && header.member_id === leader;
}

/** The JSON gateway, whose keys and values are base64. */
async function gatewayClient(http: HttpClient): Promise<KvClient> {
  const post = (to: string, body: unknown): Promise<Buffer> =>
    http.ask({ method: "POST", path: to, type: "application/json", body: JSON.stringify(body) });
  return {
    put: async (key, value) => {
      await post("/v3/kv/put", { key: btoa(key), value: Buffer.from(value).toString("base64") });
    },
    get: async (key, consistency) => {
      const answer = await post("/v3/kv/range", { key: btoa(key), serializable: consistency === "local" });
      if (answer.length < VALUE_BYTES) throw new Error(`${key} has no value: ${answer}`);
    },
    range: async ({ prefix, limit, view, newestFirst }) => {
      const body = {
        key: btoa(prefix),
        range_end: btoa(prefixEnd(prefix)),
        limit,
        keys_only: view === "keys",
        count_only: view === "count",
        ...(newestFirst ? { sort_target: "MOD", sort_order: "DESCEND" } : {}),
      };
      const answer: unknown = JSON.parse(String(await post("/v3/kv/range", body)));
      if (typeof answer !== "object" || answer === null) throw new Error("a range without an answer");
      if ("kvs" in answer && Array.isArray(answer.kvs)) return answer.kvs.length;
      return "count" in answer ? Number(answer.count) : 0;
    },
    watch: (prefix, changed) => {
      const request = { create_request: { key: btoa(prefix), range_end: btoa(prefixEnd(prefix)) } };
      return http.lines({ method: "POST", path: "/v3/watch", body: JSON.stringify(request) }, (line) => {
        for (const [, key = ""] of line.matchAll(/"key":"([^"]+)"/g)) changed(atob(key));
      });
    },
    close: async () => http.close(),
  };
}

/** The first key after all that start with an ASCII prefix. */
const prefixEnd = (prefix: string): string =>
  prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
