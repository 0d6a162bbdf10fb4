/** Our side: a fresh site of three nodes on loopback, each a process of its own. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { prefixEnd, utf8 } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { type InitialNode, initCluster } from "@openclaw/edge-runtime/init.ts";
import { type Api, BenchCluster, type BenchNode, type KvClient, type Loader } from "./cluster.ts";
import { HttpClient } from "./http.ts";
import { NODES, VALUE_BYTES } from "./sizes.ts";
import type { Workbench } from "./workbench.ts";

/** The bundle, as an installed node runs it; scripts/bench.mjs makes it before each run. */
export const PROGRAM = fileURLToPath(new URL("../../../edge-runtime/dist/openclaw.js", import.meta.url));
/** Callers of gets that share one client: half of the questions that it may have under way (core/sync/child-link.ts). */
const ASKERS = 32;

export interface SiteNode extends BenchNode {
  /** Multiaddrs with `/p2p/…`, of TCP and of WebSocket. */
  readonly addresses: readonly string[];
}

export async function startSite(workbench: Workbench): Promise<BenchCluster<SiteNode>> {
  const directory = workbench.folder();
  const ports = await freePorts(Array.from({ length: 3 * NODES }, () => null));
  const [httpPorts = [], p2pPorts = [], wsPorts = []] = [0, 1, 2].map((i) => ports.slice(i * NODES, (i + 1) * NODES));
  const { nodes } = await initCluster({
    directory,
    cluster: "bench",
    nodes: NODES,
    host: "127.0.0.1",
    httpPorts,
    p2pPorts,
    wsPorts,
    logLevel: "warn",
  });
  return BenchCluster.start(
    "ours",
    nodes.map((node) => siteNode(workbench, directory, node)),
  );
}

function siteNode(workbench: Workbench, directory: string, { node, config, http, addresses }: InitialNode): SiteNode {
  const args = [...process.execArgv, PROGRAM, "node", "start", "--config", config];
  return {
    addresses,
    process: workbench.process(process.execPath, args, path.join(directory, `${node}.log`)),
    folder: path.join(path.dirname(config), "data"),
    loader: () => nativeLoader(addresses),
    client: (api: Api, callers: number, timeoutMs?: number) =>
      api === "http" ? httpClient(new HttpClient(http, callers, timeoutMs)) : nativeClient(addresses, callers),
    leads: async () => {
      const ready = await fetch(`${http}/readyz`);
      const status: unknown = await (await fetch(`${http}/v1/status`)).json();
      if (!ready.ok || typeof status !== "object" || status === null || !("leader" in status))
        throw new Error(`${node} is not ready`);
      return status.leader === node;
    },
  };
}

async function httpClient(http: HttpClient): Promise<KvClient> {
  return {
    put: async (key, value) => {
      await http.ask({ method: "PUT", path: `/v1/kv/${key}`, type: "application/octet-stream", body: value });
    },
    get: async (key, consistency) => {
      const value = await http.ask({ method: "GET", path: `/v1/kv/${key}?consistency=${consistency}` });
      if (value.length !== VALUE_BYTES) throw new Error(`${key} has ${value.length} bytes`);
    },
    range: async ({ prefix, limit, view, newestFirst }) => {
      const order = newestFirst ? "&sort=modRevision&order=descending" : "";
      const query = `prefix=${encodeURIComponent(prefix)}&limit=${limit}&view=${view}${order}`;
      const answer: unknown = JSON.parse(String(await http.ask({ method: "GET", path: `/v1/kv?${query}` })));
      if (typeof answer !== "object" || answer === null || !("rows" in answer) || !Array.isArray(answer.rows))
        throw new Error("a range without rows");
      return "count" in answer && typeof answer.count === "number" ? answer.count : answer.rows.length;
    },
    watch: (prefix, changed) =>
      http.lines({ method: "GET", path: `/v1/watch?prefix=${encodeURIComponent(prefix)}` }, (line) => {
        const key = line.startsWith("data: ") ? /"key":"([^"]+)"/.exec(line)?.[1] : undefined;
        if (key !== undefined) changed(key);
      }),
    close: async () => http.close(),
  };
}

async function nativeClient(gateways: readonly string[], callers: number): Promise<KvClient> {
  const clients = await Promise.all(Array.from({ length: Math.ceil(callers / ASKERS) }, () => openClaw({ gateways })));
  await Promise.all(clients.map(online));
  const [first] = clients;
  if (first === undefined) throw new Error("no callers");
  const asking = new Map(clients.map((client) => [client, 0]));
  const decoder = new TextDecoder();
  return {
    // `site` resolves when a majority of the site has it on disk. All puts go by one client, which packs them.
    put: async (key, value) => void (await first.kv.put(key, value).site),
    get: async (key, consistency) => {
      const [client] = [...asking].reduce((least, one) => (one[1] < least[1] ? one : least));
      asking.set(client, (asking.get(client) ?? 0) + 1);
      const row = await client.kv.get(key, { consistency });
      asking.set(client, (asking.get(client) ?? 1) - 1);
      if (row?.value.length !== VALUE_BYTES) throw new Error(`${key} has ${row?.value.length ?? "no"} bytes`);
    },
    range: async ({ prefix, limit, view, newestFirst }) => {
      const from = utf8(prefix);
      const sort = newestFirst
        ? ({ target: "modRevision", order: "descending" } as const)
        : ({ target: "key", order: "ascending" } as const);
      const range = plainRange(from, prefixEnd(from) ?? null, limit);
      const { rows, count } = await first.kv.range({ ...range, view, sort });
      return count ?? rows.length;
    },
    watch: async (prefix, changed) => {
      first.kv.watch(prefix, (events) => {
        for (const { key } of events) changed(decoder.decode(key));
      });
    },
    close: async () => void (await Promise.all(clients.map((client) => client.stop()))),
  };
}

async function nativeLoader(gateways: readonly string[]): Promise<Loader> {
  const client = await openClaw({ gateways });
  return {
    putAll: async (keys, value) => {
      const success = keys.map(
        (key) => ({ kind: "put", key: utf8(key), value, lease: null, previous: false }) as const,
      );
      await client.kv.txn({ kind: "txn", compares: [], success, failure: [] }).site;
    },
    close: () => client.stop(),
  };
}

/** A put waits for the connection by itself; a get does not. */
function online(client: Client): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (client.status().link !== "online") return;
      ended();
      resolve();
    };
    const ended = client.subscribe(look);
    look();
  });
}
