/** Owns state.db (R6): runs apply, answers reads, and moves snapshots, one call after the other. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Transferable } from "node:worker_threads";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { ensureFolder, removeLeftovers } from "./files.ts";
import { storageError } from "./sqlite.ts";
import { StateFile } from "./state-file.ts";
import { INCOMING_FILE, INSTALL_STEPS } from "./state-install.ts";
import type { SnapshotFile, StateCalls, StateOpening } from "./state-protocol.ts";
import { hashFile, IncomingSnapshot } from "./state-staging.ts";
import type { Call } from "./worker-calls.ts";
import { WorkerPort } from "./worker-port.ts";

/** Copies of the state that may be on the disk at once; one more is refused OVERLOADED. */
const SNAPSHOTS_MAX = 2;
const SNAPSHOT_PREFIX = "state-snapshot-";

/** What is open. */
class Storage {
  readonly #opening: StateOpening;
  readonly incoming: IncomingSnapshot;
  readonly #snapshots = new Set<string>();
  #copies = 0;
  file: StateFile;

  constructor(opening: StateOpening) {
    this.#opening = opening;
    ensureFolder(opening.folder);
    this.file = StateFile.open(opening, fail);
    // After the lock: until then they may be another process's.
    removeLeftovers(opening.folder, [SNAPSHOT_PREFIX, INCOMING_FILE]);
    this.incoming = new IncomingSnapshot(opening.folder, opening.cluster);
  }

  snapshot(): SnapshotFile {
    if (this.#snapshots.size >= SNAPSHOTS_MAX)
      throw new OpenClawError("OVERLOADED", `${SNAPSHOTS_MAX} snapshots are being sent`);
    const path = join(this.#opening.folder, `${SNAPSHOT_PREFIX}${++this.#copies}.db`);
    try {
      const meta = this.file.copyTo(path);
      const { epoch } = this.file.read({ kind: "position" });
      const file = { path, meta, epoch, ...hashFile(path) };
      this.#snapshots.add(path);
      return file;
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
  }

  dropSnapshot(path: string): void {
    if (this.#snapshots.delete(path)) rmSync(path, { force: true });
  }

  install(meta: SnapshotMeta): void {
    const { applied } = this.file.stored();
    invariant(
      meta.index > applied,
      `a snapshot of index ${meta.index} does not take the state back from ${applied} (pitfall 12)`,
    );
    this.incoming.take(meta);
    this.file.close();
    for (const step of INSTALL_STEPS) step.run(this.#opening.folder);
    this.file = StateFile.open(this.#opening, fail);
  }

  close(): void {
    for (const path of this.#snapshots) rmSync(path, { force: true });
    this.incoming.discard();
    this.file.close();
  }
}

const port = new WorkerPort<StateCalls>();
let storage: Storage | null = null;
/** Set by the first error after which nothing may go on: the disk, or our own state, can no longer be vouched for (pitfall 26). */
let failed: Error | null = null;

port.serve((calls) => {
  for (const call of calls) {
    if (failed === null) {
      try {
        run(call);
      } catch (error) {
        const known = storageError(error, `state: ${call.kind}`);
        if (isFatal(call.kind, known)) failed = known;
        port.fail(call, known);
      }
    } else {
      port.fail(call, failed);
    }
    if (call.kind === "close") port.close();
  }
});

/** False for a refusal of one call, after which the store is as good as before. */
function isFatal(kind: keyof StateCalls, error: Error): boolean {
  if (!(error instanceof OpenClawError)) return true;
  switch (kind) {
    case "open":
    case "apply":
    case "checkpoint":
    case "close":
      return true;
    case "stageBegin":
    case "stageChunk":
    case "stageEnd":
    case "stageAbort":
      // Only the staged file is touched, and it is gone.
      return false;
    case "snapshot":
      // Only the copy did not fit.
      return error.code !== "OVERLOADED" && error.code !== "STORAGE_FULL";
    case "read":
    case "ledger":
    case "dropSnapshot":
    case "install":
      return error.code === "STORAGE_FAILED" || error.code === "STORAGE_FULL" || error.code === "DATA_CORRUPT";
  }
}

function fail(error: unknown): void {
  failed ??= storageError(error, "committing the state");
}

function run(call: Call<StateCalls>): void {
  if (call.kind === "open") {
    invariant(storage === null, "a state is opened once");
    storage = new Storage(call.ask);
    port.answer(call, storage.file.stored());
    return;
  }
  if (call.kind === "close") {
    storage?.close();
    port.answer(call, null);
    return;
  }
  invariant(storage !== null, "the state is open");
  const { file, incoming } = storage;
  switch (call.kind) {
    case "apply": {
      const applied = file.apply(call.ask);
      port.answer(call, applied, [bufferOf(applied.records), bufferOf(applied.results)]);
      break;
    }
    case "read":
      port.answer(call, file.read(call.ask));
      break;
    case "ledger": {
      const slice = file.ledger(call.ask.from, call.ask.maxBytes);
      port.answer(call, slice, [bufferOf(slice.records)]);
      break;
    }
    case "checkpoint":
      port.answer(call, file.checkpoint());
      break;
    case "snapshot":
      port.answer(call, storage.snapshot());
      break;
    case "dropSnapshot":
      storage.dropSnapshot(call.ask);
      port.answer(call, null);
      break;
    case "stageBegin":
      port.answer(call, incoming.begin(call.ask));
      break;
    case "stageChunk":
      incoming.add(call.ask.stage, call.ask.chunk);
      port.answer(call, null);
      break;
    case "stageEnd":
      incoming.end(call.ask);
      port.answer(call, null);
      break;
    case "stageAbort":
      incoming.abort(call.ask);
      port.answer(call, null);
      break;
    case "install":
      storage.install(call.ask);
      port.answer(call, storage.file.stored());
      break;
  }
}

const bufferOf = (bytes: Uint8Array): Transferable => bytes.buffer as ArrayBuffer;
