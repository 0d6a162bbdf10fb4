/** Three nodes of either system under one roof: what a benchmark asks of them is the same for both. */
import { setTimeout as sleep } from "node:timers/promises";
import { cpuMs, rssMb } from "./usage.ts";
import type { BenchProcess } from "./workbench.ts";

export type RivalName = "etcd" | "nats" | "automerge-repo" | "yjs";
/** What figures are of. `oursNoFsync`: ours on a disk that is asked for nothing. */
export type Measured = "ours" | "oursNoFsync" | RivalName;
/** Whom `--vs` puts beside us. */
export interface Rival {
  readonly name: RivalName;
  /** The first line of what it says of its version; null where it is not installed. */
  version(): string | null;
  /** How it comes here. */
  readonly install: string;
}

/** Who has a cluster of three. */
export type SystemName = "ours" | "etcd";
/** `native`: the system's own client (libp2p, gRPC). `http`: HTTP/1.1, connections kept alive. */
export type Api = "native" | "http";
/** etcd calls a local read serializable. */
export type Consistency = "linearizable" | "local";

/** A linearizable range over a prefix. */
export interface RangeAsk {
  readonly prefix: string;
  /** Rows that are told, at most. */
  readonly limit: number;
  /** With values, without, or only how many there are. */
  readonly view: "rows" | "keys" | "count";
  /** The newest revisions first, instead of the least keys: then every row is looked at. */
  readonly newestFirst: boolean;
}

export interface KvClient {
  /** How many rows it told, or counted. */
  range(ask: RangeAsk): Promise<number>;
  /** Resolves when a majority has it on disk. */
  put(key: string, value: Uint8Array): Promise<void>;
  /** Of a key that is there: rejects when no value comes. */
  get(key: string, consistency: Consistency): Promise<void>;
  /** Calls back with each key that is put under the prefix from some moment on. */
  watch(prefix: string, changed: (key: string) => void): Promise<void>;
  close(): Promise<void>;
}

/** Fills a cluster: what matters is that it is full. */
export interface Loader {
  /** All keys in one transaction, which a majority has on disk when it resolves. */
  putAll(keys: readonly string[], value: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export interface BenchNode {
  readonly process: BenchProcess;
  /** Where it keeps everything that it keeps. */
  readonly folder: string;
  /** A client of this node alone, for so many callers at a time. `timeoutMs`, over HTTP: how long it waits for an answer. */
  client(api: Api, callers: number, timeoutMs?: number): Promise<KvClient>;
  loader(): Promise<Loader>;
  /** Whether it says that it leads. Rejects when it does not answer. */
  leads(): Promise<boolean>;
}

/** A node answers, or a cluster has a leader, within this, ms. */
const READY_MS_MAX = 60_000;
const POLL_MS = 10;

export class BenchCluster<Node extends BenchNode = BenchNode> {
  readonly name: SystemName;
  readonly nodes: readonly Node[];

  private constructor(name: SystemName, nodes: readonly Node[]) {
    this.name = name;
    this.nodes = nodes;
  }

  /** Starts the nodes; resolves when they have a leader. */
  static async start<Node extends BenchNode>(name: SystemName, nodes: readonly Node[]): Promise<BenchCluster<Node>> {
    for (const node of nodes) node.process.start();
    const cluster = new BenchCluster(name, nodes);
    await cluster.leader();
    for (const node of nodes) await answering(node, () => node.leads());
    return cluster;
  }

  /** The node that leads; waits for an election. */
  async leader(): Promise<Node> {
    const deadline = performance.now() + READY_MS_MAX;
    for (;;) {
      for (const node of this.nodes)
        if (node.process.pid !== null && (await node.leads().catch(() => false))) return node;
      if (performance.now() > deadline)
        throw new Error(`${this.name} has no leader. ${this.nodes[0]?.process.endOfLog()}`);
      await sleep(POLL_MS);
    }
  }

  /** CPU time that the nodes have used so far together, ms; null where it cannot be told. */
  cpuMs(): Promise<number | null> {
    return cpuMs(this.#pids);
  }

  /** Mean resident memory of a node, MB; null where it cannot be told. */
  rssMb(): Promise<number | null> {
    return rssMb(this.#pids);
  }

  get #pids(): readonly number[] {
    return this.nodes.flatMap(({ process }) => process.pid ?? []);
  }
}

/** Asks until the node answers. @throws Error when it ends, or does not for too long */
export async function answering<T>(node: BenchNode, ask: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + READY_MS_MAX;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (node.process.pid === null) throw new Error(`a node ended. ${node.process.endOfLog()}`, { cause: error });
      if (performance.now() > deadline) throw error;
      await sleep(POLL_MS);
    }
  }
}
