/**
 * Production's segment log on a disk in memory, as a LogStore. It writes as the log's worker does: a batch is what waits
 * while the write before it is in flight (R3). A write takes `latency`; between `hold` and `release` the disk hangs.
 */
import { crc32 } from "node:zlib";
import { utf8 } from "@openclaw/core/bytes.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId, Index, NodeId } from "@openclaw/core/ids.ts";
import type { LogBase, LogStore, StoredLog } from "@openclaw/core/ports.ts";
import type { Entry, HardState } from "@openclaw/core/raft/message.ts";
import type { LogWrite } from "@openclaw/core/segment-log/log-write.ts";
import { SegmentLog } from "@openclaw/core/segment-log/segment-log.ts";
import { WriteIntake } from "@openclaw/core/segment-log/write-intake.ts";
import { KEPT, LOST, PowerCut, PowerCutDisk, type Refusal, type Survival } from "../contracts/power-cut-disk.ts";
import { type Damage, damage } from "./damage.ts";

/** Small, so that a short life has several, some of which are dropped and written over. */
const SEGMENT_BYTES = 16_384;
const SALT = utf8("0123456789abcdef");

export interface LogOwner {
  readonly cluster: ClusterId;
  readonly node: NodeId;
}

/** When a thing is to happen: calls back once. */
export type Latency = (done: () => void) => void;

/** How a process ends. */
export interface Ending {
  /** Calls of the disk that the write under way still makes. */
  readonly calls: number;
  /** What the disk keeps of what was not synced; null: the power stays on, and with it the page cache. */
  readonly powerCut: { readonly files: Survival; readonly names: "lost" | "kept" } | null;
}

/** What was not synced is gone, and nothing of the write under way was. */
export const POWER_CUT: Ending = { calls: 0, powerCut: { files: LOST, names: "lost" } };

interface Waiting {
  readonly write: LogWrite;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class SimulatedLogStore implements LogStore {
  latency: Latency = (done) => done();
  /** After how long without a write the log is at rest. */
  idle: Latency = () => {};
  readonly #owner: LogOwner;
  readonly #disk: PowerCutDisk;
  readonly #intake = new WriteIntake();
  #log: SegmentLog | null = null;
  #waiting: Waiting[] = [];
  #inFlight: readonly Waiting[] = [];
  /** The time that the write in flight takes is over. */
  #due = false;
  #held = false;
  #ended = false;
  #commits = 0;
  #waitsForRest = false;

  constructor(owner: LogOwner, disk = new PowerCutDisk()) {
    this.#owner = owner;
    this.#disk = disk;
  }

  /** The disk takes nothing until `release`. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#complete();
  }

  /** From now on the disk refuses what is written to it. */
  fail(refusal: Refusal = "STORAGE_FAILED"): void {
    this.#disk.refuse(refusal);
  }

  /** The store that starts after this process ended. This one answers nothing any more. */
  crash({ calls, powerCut }: Ending = POWER_CUT): SimulatedLogStore {
    this.#ended = true;
    this.#disk.endAfter(calls);
    try {
      if (this.#inFlight.length > 0) this.#commit(this.#inFlight);
    } catch (error) {
      if (!(error instanceof PowerCut || error instanceof OpenClawError)) throw error;
    }
    this.#disk.nextProcess();
    const disk = powerCut === null ? this.#disk : new PowerCutDisk(this.#disk.image(powerCut.files, powerCut.names));
    return new SimulatedLogStore(this.#owner, disk);
  }

  /** Another disk, with all that is on this one. */
  copy(): SimulatedLogStore {
    return new SimulatedLogStore(this.#owner, new PowerCutDisk(this.#disk.image(KEPT)));
  }

  /** The disk loses what was synced. False if there is nothing on it to lose. */
  damage(what: Damage): boolean {
    return damage(this.#disk, what);
  }

  /** Writes that were handed over and not answered. */
  get waiting(): number {
    return this.#inFlight.length + this.#waiting.length;
  }

  /** What a start would find now. */
  get durable(): StoredLog {
    return this.copy().#open();
  }

  async open(): Promise<StoredLog> {
    return this.#open();
  }

  append(hardState: HardState | null, entries: readonly Entry[]): Promise<void> {
    return this.#write(this.#intake.append(hardState, entries));
  }

  compact(base: LogBase): Promise<void> {
    return this.#write(this.#intake.compact(base));
  }

  reset(base: LogBase, missing?: Index): Promise<void> {
    return this.#write(this.#intake.reset(base, missing));
  }

  async close(): Promise<void> {
    if (!this.#ended) this.#log?.close();
  }

  #open(): StoredLog {
    invariant(this.#log === null, "a log store is open once");
    const { log, opened } = SegmentLog.open(this.#disk, {
      ...this.#owner,
      crc32,
      salt: SALT,
      segmentBytes: SEGMENT_BYTES,
    });
    this.#log = log;
    return this.#intake.opened(opened);
  }

  #write(write: LogWrite): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ write, done, failed });
      this.#begin();
    });
  }

  #begin(): void {
    if (this.#inFlight.length > 0 || this.#waiting.length === 0) return;
    this.#inFlight = this.#waiting;
    this.#waiting = [];
    this.latency(() => {
      this.#due = true;
      this.#complete();
    });
  }

  #complete(): void {
    if (!this.#due || this.#held || this.#ended) return;
    const writes = this.#inFlight;
    this.#inFlight = [];
    this.#due = false;
    try {
      this.#commit(writes);
      for (const { done } of writes) done();
    } catch (error) {
      for (const { failed } of writes) failed(error);
    }
    this.#begin();
    this.#restWhenIdle();
  }

  #commit(writes: readonly Waiting[]): void {
    invariant(this.#log !== null, "the log is opened before it is written");
    this.#commits++;
    this.#log.commit(writes.map(({ write }) => write));
  }

  #restWhenIdle(): void {
    if (this.#waitsForRest) return;
    this.#waitsForRest = true;
    const commits = this.#commits;
    this.idle(() => {
      this.#waitsForRest = false;
      if (this.#ended || this.#held) return;
      if (this.#commits > commits || this.waiting > 0) return this.#restWhenIdle();
      try {
        this.#log?.rest();
      } catch (error) {
        // The next write is told.
        if (!(error instanceof OpenClawError)) throw error;
      }
    });
  }
}
