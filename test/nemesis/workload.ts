/** The clients, until they are told to stop: loops of one operation at a time. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "@openclaw/core/ports.ts";
import { anyOf } from "./choice.ts";
import type { RealCluster } from "./cluster.ts";
import { KeyValueClient } from "./key-value-client.ts";
import { NativeWriter } from "./native-writer.ts";
import type { Observations } from "./observations.ts";
import { Registers } from "./registers.ts";
import { UniqueKeys } from "./unique-keys.ts";

/** Ms between two operations of a client, at most: a load under which the machine still has time for the faults. */
const THINK_MS = 60;
/** Ms that the last operations may take, once the cluster is whole. */
const LAST_ANSWER_MS = 60_000;

/** How many clients there are. */
export interface Load {
  readonly registers: number;
  /** Of unique keys, over HTTP and with the native client. */
  readonly writers: number;
  readonly natives: number;
}

export class Workload {
  readonly registers: Registers;
  readonly uniqueKeys: UniqueKeys;
  /** Process number of the reads at the end. */
  readonly finalReader: number;
  readonly #clients: readonly KeyValueClient[];
  readonly #natives: readonly NativeWriter[];
  readonly #random: Random;
  readonly #stopping = new AbortController();
  readonly #loops: readonly Promise<void>[];

  private constructor(
    cluster: RealCluster,
    { registers, writers }: Load,
    natives: readonly NativeWriter[],
    random: Random,
    observations: Observations,
  ) {
    this.#clients = cluster.members.map(({ http }) => new KeyValueClient(http, cluster.token));
    this.#natives = natives;
    this.#random = random;
    this.registers = new Registers(random, observations);
    this.uniqueKeys = new UniqueKeys(observations);
    this.finalReader = registers;
    const http = [
      ...Array.from({ length: registers }, (_, process) => (client: KeyValueClient) => {
        return this.registers.step(process, client);
      }),
      ...Array.from({ length: writers }, () => (client: KeyValueClient) => this.uniqueKeys.put(client)),
    ];
    this.#loops = [
      ...http.map((step, i) => (i % 2 === 0 ? this.#roam(step) : this.#stay(step))),
      ...natives.map((writer) => this.#loop(() => writer.put(this.uniqueKeys))),
    ];
  }

  /** At a cluster that runs. */
  static async start(cluster: RealCluster, load: Load, random: Random, observations: Observations): Promise<Workload> {
    const natives: NativeWriter[] = [];
    for (let i = 0; i < load.natives; i++) natives.push(await NativeWriter.open(cluster));
    return new Workload(cluster, load, natives, random, observations);
  }

  anyClient(): KeyValueClient {
    return anyOf(this.#random, this.#clients);
  }

  /**
   * Resolves when every operation under way has ended; null, or what did not end, in words. HTTP clients lose patience by
   * themselves; the native client holds on to its put, so the cluster must be whole again.
   */
  async stop(): Promise<string | null> {
    this.#stopping.abort();
    const late = new AbortController();
    const ended = await Promise.race([
      Promise.allSettled(this.#loops).then(() => true),
      sleep(LAST_ANSWER_MS, false, { signal: late.signal }),
    ]);
    late.abort();
    await this.abandon();
    return ended ? null : `a put of the native client was not acknowledged ${LAST_ANSWER_MS / 1_000} s after the end`;
  }

  /** Ends the clients, whatever they are at. */
  async abandon(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#natives.map((writer) => writer.stop()));
  }

  /** Rejects with what an operation threw that none may; else pending until the clients stop. */
  get failure(): Promise<unknown> {
    return Promise.all(this.#loops);
  }

  /** Another node each time: what one node acknowledged, the next must know. */
  #roam(step: (client: KeyValueClient) => Promise<boolean>): Promise<void> {
    return this.#loop(() => step(this.anyClient()));
  }

  /** At one node until it does not answer: who found a majority writes there, and the gaps between writes tell of it. */
  #stay(step: (client: KeyValueClient) => Promise<boolean>): Promise<void> {
    let client = this.anyClient();
    return this.#loop(async () => {
      if (!(await step(client))) client = this.anyClient();
    });
  }

  async #loop(step: () => Promise<unknown>): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await step();
      await sleep(this.#random.unit() * THINK_MS);
    }
  }
}
