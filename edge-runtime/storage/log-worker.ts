/** Owns the log (R4). Every write that waits goes into one commit, and all of them are answered after its fsync (R3). */
import { invariant } from "@openclaw/core/errors.ts";
import { LogFile } from "./log-file.ts";
import type { LogCalls } from "./log-protocol.ts";
import { storageError } from "./sqlite.ts";
import type { Call } from "./worker-calls.ts";
import { WorkerPort } from "./worker-port.ts";

type WriteCall = Extract<Call<LogCalls>, { kind: "write" }>;

/** A log without a write for about this many ms is at rest. */
const REST_MS = 50;

const port = new WorkerPort<LogCalls>();
let file: LogFile | null = null;
/** Set by the first error: a page that failed to reach the disk is clean in the cache, so nothing is tried again (pitfall 26). */
let failed: Error | null = null;
let commits = 0;
let watch: NodeJS.Timeout | null = null;

port.serve((calls) => {
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
});

function commit(group: readonly WriteCall[]): void {
  if (group.length === 0) return;
  guarded(group, "writing the log", () => {
    invariant(file !== null, "the log is open");
    file.commit(group.map((call) => call.ask));
    for (const call of group) port.answer(call, null);
    commits++;
    watch ??= setTimeout(restIfIdle, REST_MS, commits);
  });
}

/** One timer while there are writes, none afterwards: it looks whether there were any since it was set. */
function restIfIdle(seen: number): void {
  watch = commits === seen ? null : setTimeout(restIfIdle, REST_MS, commits);
  if (watch === null) guarded([], "bringing the log to rest", () => file?.rest());
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
      guarded([call], "closing the log", () => {
        if (watch !== null) clearTimeout(watch);
        file?.close();
        port.answer(call, null);
      });
      port.close();
  }
}

function guarded(calls: readonly Call<LogCalls>[], doing: string, body: () => void): void {
  if (failed === null) {
    try {
      body();
      return;
    } catch (error) {
      fail(error, doing);
    }
  }
  if (failed !== null) for (const call of calls) port.fail(call, failed);
}

function fail(error: unknown, doing: string): void {
  failed ??= storageError(error, doing);
}
