/**
 * Owns the log (R4). Every write that waits goes into one commit, and all of them are answered after its sync (R3). The
 * thread does nothing else, so it waits without an event loop.
 */
import { workerData } from "node:worker_threads";
import { invariant } from "@openclaw/core/errors.ts";
import { Doorbell } from "./doorbell.ts";
import { LogFile } from "./log-file.ts";
import type { LogCalls } from "./log-protocol.ts";
import { storageError } from "./sqlite.ts";
import type { Call } from "./worker-calls.ts";
import { WorkerPort } from "./worker-port.ts";

type WriteCall = Extract<Call<LogCalls>, { kind: "write" }>;

/** A log without a call for this many ms is at rest. */
const REST_MS = 50;

invariant(workerData instanceof SharedArrayBuffer, "the log's worker is given a doorbell");
const bell = new Doorbell(workerData);
const port = new WorkerPort<LogCalls>();
let file: LogFile | null = null;
/** Set by the first error: a page that failed to reach the disk is clean in the cache, so nothing is tried again (pitfall 26). */
let failed: Error | null = null;
let closed = false;

for (let resting = true; !closed; ) {
  bell.listen();
  const calls = port.take();
  if (calls.length > 0) {
    serve(calls);
    resting = false;
  } else if (!bell.wait(resting ? Number.POSITIVE_INFINITY : REST_MS)) {
    guarded([], "bringing the log to rest", () => file?.rest());
    resting = true;
  }
}
port.close();

function serve(calls: readonly Call<LogCalls>[]): void {
  let group: WriteCall[] = [];
  for (const call of calls) {
    if (call.kind === "write") {
      group.push(call);
    } else {
      commit(group);
      group = [];
      openOrClose(call);
    }
  }
  commit(group);
}

function commit(group: readonly WriteCall[]): void {
  if (group.length === 0) return;
  guarded(group, "writing the log", () => {
    invariant(file !== null, "the log is open");
    file.commit(group.map((call) => call.ask));
    port.done(group);
  });
}

function openOrClose(call: Exclude<Call<LogCalls>, WriteCall>): void {
  switch (call.kind) {
    case "open":
      guarded([call], "opening the log", () => {
        invariant(file === null, "a log is opened once");
        const { file: opened, opened: answer } = LogFile.open(call.ask);
        file = opened;
        // The segments' own buffers: what the log holds is not copied on its way.
        port.answer(call, answer, [...new Set(answer.runs.map((run) => run.packed.buffer as ArrayBuffer))]);
      });
      return;
    case "close":
      closed = true;
      guarded([call], "closing the log", () => {
        file?.close();
        port.answer(call, null);
      });
  }
}

function guarded(calls: readonly Call<LogCalls>[], doing: string, body: () => void): void {
  if (failed === null) {
    try {
      body();
      return;
    } catch (error) {
      failed = storageError(error, doing);
    }
  }
  for (const call of calls) port.fail(call, failed);
}
