/** CPU of one put in the state's worker: apply, ledger record and SQLite's share (R6), for entries of 1, 20 and 200 puts. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { index, isClusterId, isLinkId, isNodeId, isSessionId, revision, seq, term } from "@openclaw/core/ids.ts";
import { encodeEntries } from "@openclaw/core/raft/entry-codec.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import type { Command, CommandHeader } from "@openclaw/core/state-machine/command.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { StateFile } from "@openclaw/edge-runtime/storage/state-file.ts";
import { STATE_CACHE_BYTES } from "@openclaw/edge-runtime/storage/state-protocol.ts";
import { type Bench, benchmark } from "./harness/benchmark.ts";
import type { Figures } from "./harness/figures.ts";
import { VALUE } from "./harness/sizes.ts";
import type { Workbench } from "./harness/workbench.ts";

const BATCHES = [1, 20, 200];
/** How puts come: over HTTP each in a step of the gateway's session, from a native client as queued commands of its link. */
const WAYS = ["session", "link"] as const;
type Way = (typeof WAYS)[number];
/** Puts before those that count, and keys that are put in turn: most are there already. */
const WARM_UP = 20_000;
const KEYS = 10_000;
/** Puts between two looks at the clock. */
const RUN = 2_000;

const CLUSTER = named("bench", isClusterId);
const NODE = named("bench-1", isNodeId);
const LINK = named("ab".repeat(16), isLinkId);
const SESSION = named("cd".repeat(16), isSessionId);

class Puts {
  readonly #state: StateFile;
  readonly #way: Way;
  readonly #batch: number;
  #index = 0;
  #seq = 0;

  constructor(workbench: Workbench, way: Way, batch: number) {
    const epoch = { counter: 1, nonce: "ef".repeat(16), parent: null, departure: revision(0) };
    const opening = {
      folder: workbench.folder(),
      cluster: CLUSTER,
      node: NODE,
      epoch,
      membership: founding([NODE]),
      cacheBytes: STATE_CACHE_BYTES,
    };
    this.#state = StateFile.open(opening, (error) => {
      throw error;
    });
    this.#way = way;
    this.#batch = batch;
    if (way === "session")
      this.#state.apply(this.#entry([{ kind: "openSession", session: SESSION, header: this.#header() }]));
  }

  /** Of each run only what the worker does is counted: what it is given was encoded before. */
  run(puts: number): { readonly cpuUs: number; readonly ms: number } {
    const entries = Array.from({ length: Math.ceil(puts / this.#batch) }, () => this.#puts());
    const before = process.cpuUsage();
    const started = performance.now();
    for (const entry of entries) this.#state.apply(entry);
    const ms = performance.now() - started;
    const { user, system } = process.cpuUsage(before);
    return { cpuUs: user + system, ms };
  }

  measure({ durationMs }: Bench): Figures {
    let [puts, cpuUs, ms] = [0, 0, 0];
    for (; ms < durationMs; puts += RUN) {
      const run = this.run(RUN);
      cpuUs += run.cpuUs;
      ms += run.ms;
    }
    this.#state.close();
    return { cpuUsPerPut: cpuUs / puts, perSec: (puts / ms) * 1_000 };
  }

  #puts(): Uint8Array {
    const first = this.#seq + 1;
    const puts = Array.from({ length: this.#batch }, () => {
      const key = utf8(`bench/${++this.#seq % KEYS}`);
      return { kind: "put", key, value: VALUE } as const;
    });
    // What came before has reached the caller.
    const lowWater = seq(first);
    if (this.#way === "link") {
      const header = this.#header();
      return this.#entry([{ kind: "importCommands", link: LINK, from: seq(first), lowWater, commands: puts, header }]);
    }
    return this.#entry(puts.map((put, i): Command => ({ ...put, header: this.#header(first + i, lowWater) })));
  }

  #header(step = 0, lowWater = seq(1)): CommandHeader {
    return {
      principal: "anonymous",
      time: 1_700_000_000_000 + this.#index,
      salt: VALUE.subarray(0, 16),
      request: step,
      proposer: "0123456789abcdef",
      session: step === 0 ? null : { id: SESSION, seq: seq(step), lowWater },
    };
  }

  #entry(commands: readonly Command[]): Uint8Array {
    const data = encodeCommands(commands);
    return encodeEntries([{ term: term(1), index: index(++this.#index), kind: "commands", stamp: 0, data }]);
  }
}

function named<T extends string>(text: string, is: (value: unknown) => value is T): T {
  if (!is(text)) throw new Error(`no name: ${text}`);
  return text;
}

await benchmark("apply", { seconds: 3, runs: 3 }, async (bench) => {
  for (const way of WAYS) {
    for (const batch of BATCHES) {
      await bench.compare([way, `b${batch}`], [{ name: "ours" }], async () => {
        const puts = new Puts(bench.workbench, way, batch);
        puts.run(WARM_UP);
        return puts.measure(bench);
      });
    }
  }
});
