/** Owns state.db (R6): runs apply, answers reads, and moves snapshots. What takes long is done between the calls. */
import type { Transferable } from "node:worker_threads";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { Index } from "@openclaw/core/ids.ts";
import type { StoredState } from "@openclaw/core/ports.ts";
import type { SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { ensureFolder } from "./files.ts";
import { HistoryWork } from "./history-work.ts";
import { SnapshotCopies } from "./snapshot-copies.ts";
import { storageError } from "./sqlite.ts";
import { StateFile } from "./state-file.ts";
import { asideSteps, INSTALL_STEPS, type InstallStep, removeAside } from "./state-install.ts";
import type { SnapshotFile, StateCalls, StateOpening } from "./state-protocol.ts";
import { IncomingSnapshot } from "./state-staging.ts";
import type { Call } from "./worker-calls.ts";
import { WorkerPort } from "./worker-port.ts";

/** What is open. */
class Storage {
  readonly #opening: StateOpening;
  readonly incoming: IncomingSnapshot;
  readonly copies: SnapshotCopies;
  file: StateFile;
  past: HistoryWork;

  constructor(opening: StateOpening) {
    this.#opening = opening;
    ensureFolder(opening.folder);
    this.file = StateFile.open(opening, fail);
    // After the lock: until then they may be another process's.
    this.copies = new SnapshotCopies(opening.folder);
    this.incoming = new IncomingSnapshot(opening.folder, opening.cluster);
    this.incoming.passed(this.file.stored().applied);
    this.past = new HistoryWork(this.file.past, notIndexed);
  }

  snapshot(atLeast: Index): Promise<SnapshotFile> {
    return this.copies.take(this.file, atLeast);
  }

  checkpoint(): StoredState {
    const stored = this.file.checkpoint();
    this.incoming.passed(stored.applied);
    return stored;
  }

  dropCopies(): void {
    this.copies.shed();
    removeAside(this.#opening.folder);
  }

  install(meta: SnapshotMeta): void {
    const { applied } = this.file.stored();
    invariant(
      meta.index > applied,
      `a snapshot of index ${meta.index} does not take the state back from ${applied} (pitfall 12)`,
    );
    this.#take(meta, INSTALL_STEPS);
  }

  replace(meta: SnapshotMeta, round: Index): void {
    this.copies.forget();
    this.#take(meta, [...asideSteps(round), ...INSTALL_STEPS]);
  }

  #take(meta: SnapshotMeta, steps: readonly InstallStep[]): void {
    this.incoming.take(meta);
    void this.past.close(new OpenClawError("UNAVAILABLE", "a snapshot took the state's place"));
    this.file.close();
    for (const step of steps) step.run(this.#opening.folder);
    this.file = StateFile.open(this.#opening, fail);
    this.past = new HistoryWork(this.file.past, notIndexed);
  }

  async close(): Promise<void> {
    const reason = new OpenClawError("STOPPED", "the state is closed");
    await Promise.all([this.past.close(reason), this.file.endReads(reason)]);
    this.copies.close();
    this.incoming.close();
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
        refuse(call, error);
      }
    } else {
      port.fail(call, failed);
    }
    if (call.kind === "close" && failed !== null) port.close();
  }
});

function refuse(call: Call<StateCalls>, error: unknown): void {
  const known = storageError(error, `state: ${call.kind}`);
  if (isFatal(call.kind, known)) failed ??= known;
  port.fail(call, known);
}

/** Answers a call when its work is done; other calls are taken meanwhile. */
function later<Kind extends keyof StateCalls>(
  call: Extract<Call<StateCalls>, { kind: Kind }>,
  answer: Promise<StateCalls[Kind]["answer"]>,
): void {
  answer.then(
    (done) => port.answer(call, done),
    (error: unknown) => refuse(call, error),
  );
}

/** What is known at once is answered in this group. */
function answered<Kind extends keyof StateCalls>(
  call: Extract<Call<StateCalls>, { kind: Kind }>,
  answer: StateCalls[Kind]["answer"] | Promise<StateCalls[Kind]["answer"]>,
): void {
  if (answer instanceof Promise) later(call, answer);
  else port.answer(call, answer);
}

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
      // Only the staged file is touched, and what of it is sound goes on being.
      return false;
    case "snapshot":
      // Only the copy did not fit.
      return error.code !== "OVERLOADED" && error.code !== "UNAVAILABLE" && error.code !== "STORAGE_FULL";
    case "history":
      // A full disk has no room for the index: the past cannot be read, the present can.
      return error.code === "STORAGE_FAILED" || error.code === "DATA_CORRUPT";
    case "read":
    case "ledger":
    case "checkLedger":
    case "dropSnapshot":
    case "rottenSnapshot":
    case "room":
    case "dropCopies":
    case "compare":
    case "install":
    case "replace":
      return error.code === "STORAGE_FAILED" || error.code === "STORAGE_FULL" || error.code === "DATA_CORRUPT";
  }
}

function fail(error: unknown): void {
  failed ??= storageError(error, "committing the state");
}

/** Those who wait for an answer are told first. */
async function close(call: Extract<Call<StateCalls>, { kind: "close" }>): Promise<void> {
  try {
    await storage?.close();
    port.answer(call, null);
  } catch (error) {
    refuse(call, error);
  }
  port.close();
}

/** Nobody waits for the index just now. On a full disk it waits, too; whoever asks for the past is told. */
function notIndexed(error: unknown): void {
  const known = storageError(error, "indexing the ledger");
  if (isFatal("history", known)) failed ??= known;
}

function run(call: Call<StateCalls>): void {
  if (call.kind === "open") {
    invariant(storage === null, "a state is opened once");
    storage = new Storage(call.ask);
    port.answer(call, storage.file.stored());
    return;
  }
  if (call.kind === "close") {
    void close(call);
    return;
  }
  invariant(storage !== null, "the state is open");
  const { file, incoming } = storage;
  switch (call.kind) {
    case "apply": {
      const applied = file.apply(call.ask);
      storage.past.applied(applied.position);
      port.answer(call, applied, [bufferOf(applied.records), bufferOf(applied.results)]);
      break;
    }
    case "read":
      answered(call, file.reading(call.ask));
      break;
    case "history":
      later(call, storage.past.read(call.ask));
      break;
    case "ledger": {
      const slice = file.ledger(call.ask.from, call.ask.maxBytes);
      port.answer(call, slice, slice.records.map(bufferOf));
      break;
    }
    case "compare":
      later(call, file.compare(call.ask));
      break;
    case "checkLedger":
      port.answer(call, file.checkLedger(call.ask));
      break;
    case "checkpoint":
      port.answer(call, storage.checkpoint());
      break;
    case "snapshot":
      later(call, storage.snapshot(call.ask));
      break;
    case "dropSnapshot":
      storage.copies.drop(call.ask);
      port.answer(call, null);
      break;
    case "rottenSnapshot":
      storage.copies.rotten(call.ask);
      port.answer(call, null);
      break;
    case "room":
      port.answer(call, { reusable: file.reusable(), removing: storage.past.removing });
      break;
    case "dropCopies":
      storage.dropCopies();
      port.answer(call, null);
      break;
    case "stageBegin":
      later(call, incoming.begin(call.ask));
      break;
    case "stageChunk":
      incoming.add(call.ask.stage, call.ask.chunk);
      port.answer(call, null);
      break;
    case "stageEnd":
      later(
        call,
        incoming.end(call.ask).then(() => null),
      );
      break;
    case "stageAbort":
      incoming.abort(call.ask);
      port.answer(call, null);
      break;
    case "install":
      storage.install(call.ask);
      port.answer(call, storage.file.stored());
      break;
    case "replace":
      storage.replace(call.ask.meta, call.ask.round);
      port.answer(call, storage.file.stored());
      break;
  }
}

const bufferOf = (bytes: Uint8Array): Transferable => bytes.buffer as ArrayBuffer;
