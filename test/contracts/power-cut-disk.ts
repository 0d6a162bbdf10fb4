/**
 * A LogDisk in memory whose power can be cut after any call that changes something. Until a file is synced, its writes may
 * survive or not, whole or in part, in any order; until the folder is synced, so may the changes of its names, in order.
 */
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { Random } from "@openclaw/core/ports.ts";
import type { LogDisk, LogDiskFile } from "@openclaw/core/segment-log/log-disk.ts";

/** The files of a folder. */
export type DiskImage = ReadonlyMap<string, Uint8Array>;

export class PowerCut extends Error {}

/** Bytes of one write that reached the disk: from `from` up to `to`. */
interface Piece {
  readonly from: number;
  readonly to: number;
}
/** What of a write of so many bytes at `at` reached the disk. */
export type Survival = (at: number, bytes: number) => readonly Piece[];

const SECTOR_BYTES = 512;
export const LOST: Survival = () => [];
export const KEPT: Survival = (_, bytes) => [{ from: 0, to: bytes }];
/** Any of the sectors that it touches. */
export const sectors =
  (random: Random): Survival =>
  (at, bytes) => {
    const pieces: Piece[] = [];
    for (let from = 0; from < bytes; ) {
      const to = Math.min(bytes, (Math.floor((at + from) / SECTOR_BYTES) + 1) * SECTOR_BYTES - at);
      if (random.unit() < 0.5) pieces.push({ from, to });
      from = to;
    }
    return pieces;
  };
/** The bytes up to any one, or from any one on. */
export const bytewise =
  (random: Random): Survival =>
  (_, bytes) => {
    const at = Math.floor(random.unit() * (bytes + 1));
    return random.unit() < 0.5 ? [{ from: 0, to: at }] : [{ from: at, to: bytes }];
  };

class Inode {
  /** What a power cut leaves for certain. */
  durable: Uint8Array<ArrayBuffer>;
  contents: Uint8Array<ArrayBuffer>;
  pending: { readonly at: number; readonly bytes: Uint8Array }[] = [];

  constructor(durable: Uint8Array, contents: Uint8Array) {
    this.durable = durable.slice();
    this.contents = contents.slice();
  }

  write(at: number, bytes: Uint8Array): void {
    invariant(at + bytes.length <= this.contents.length, "a log writes inside its files");
    this.contents.set(bytes, at);
    this.pending.push({ at, bytes: bytes.slice() });
  }

  sync(): void {
    if (this.durable.length !== this.contents.length) {
      const grown = new Uint8Array(this.contents.length);
      grown.set(this.durable);
      this.durable = grown;
    }
    for (const { at, bytes } of this.pending) this.durable.set(bytes, at);
    this.pending = [];
  }

  /** A sync that failed: what was to be written is clean in the page cache, and no later sync writes it (pitfall 26). */
  failSync(): void {
    this.pending = [];
  }

  /** The platter itself is wrong. */
  spoil(at: number, bytes: Uint8Array): void {
    for (const copy of [this.durable, this.contents]) if (at + bytes.length <= copy.length) copy.set(bytes, at);
  }

  after(survival: Survival): Uint8Array {
    // A file whose creation was not synced may have no length yet.
    const left = new Uint8Array(survival === LOST ? this.durable.length : this.contents.length);
    left.set(this.durable);
    for (const { at, bytes } of this.pending) {
      for (const { from, to } of survival(at, bytes.length)) left.set(bytes.subarray(from, to), at + from);
    }
    return left;
  }
}

type Names = ReadonlyMap<string, Inode>;

/** What a disk answers that does not work: it has no room, or its syncs fail. */
export type Refusal = "STORAGE_FULL" | "STORAGE_FAILED";

interface Misread {
  readonly name: string;
  readonly at: number;
  readonly bytes: Uint8Array;
}

export class PowerCutDisk implements LogDisk {
  #names: Names;
  /** The folder as of its last sync, and after each change since. */
  #folders: Names[];
  #calls = 0;
  #syncFails = false;
  #callsMax: number;
  #refusal: Refusal | null = null;
  #misread: Misread | null = null;

  /** @param callsMax changing calls that are served; the next one finds the power cut */
  constructor(image: DiskImage = new Map(), callsMax: number = Number.POSITIVE_INFINITY) {
    this.#names = new Map([...image].map(([name, bytes]) => [name, new Inode(bytes, bytes)]));
    this.#folders = [this.#names];
    this.#callsMax = callsMax;
  }

  get calls(): number {
    return this.#calls;
  }

  /** Finds the power cut, or whatever ends the process, after so many more changing calls. */
  endAfter(calls: number): void {
    this.#callsMax = this.#calls + calls;
  }

  /** Another process has it, and its page cache. What the disk refused before, it takes now. */
  nextProcess(): void {
    this.#callsMax = Number.POSITIVE_INFINITY;
    this.#refusal = null;
  }

  /** From now on. */
  refuse(refusal: Refusal): void {
    this.#refusal = refusal;
  }

  /** Bytes are no longer what was written there. */
  spoil(name: string, at: number, bytes: Uint8Array): void {
    this.#inode(name).spoil(at, bytes);
  }

  /** The next read of the place returns other bytes; what is there stays whole. */
  misreadNext(name: string, at: number, bytes: Uint8Array): void {
    this.#misread = { name, at, bytes };
  }

  /** The folder as the next start finds it. */
  image(files: Survival, names: "lost" | "kept" = "kept"): DiskImage {
    const folder = (names === "lost" ? this.#folders[0] : this.#names) ?? this.#names;
    return new Map([...folder].map(([name, inode]) => [name, inode.after(files)]));
  }

  /** The next sync of a file fails. */
  failNextSync(): void {
    this.#syncFails = true;
  }

  names(): readonly string[] {
    return [...this.#names.keys()];
  }

  open(name: string): LogDiskFile {
    return this.#file(this.#inode(name), name);
  }

  create(name: string, bytes: number): LogDiskFile {
    this.#call();
    this.#roomFor(name);
    const inode = new Inode(new Uint8Array(0), new Uint8Array(bytes));
    this.#change((names) => names.set(name, inode));
    return this.#file(inode, name);
  }

  rename(from: string, to: string): void {
    this.#call();
    const inode = this.#inode(from);
    this.#change((names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  remove(name: string): void {
    this.#call();
    this.#change((names) => invariant(names.delete(name), `${name} is there`));
  }

  syncFolder(): void {
    this.#call();
    this.#folders = [this.#names];
  }

  #change(change: (names: Map<string, Inode>) => void): void {
    const names = new Map(this.#names);
    change(names);
    this.#names = names;
    this.#folders.push(names);
  }

  #inode(name: string): Inode {
    const inode = this.#names.get(name);
    invariant(inode !== undefined, `${name} is there`);
    return inode;
  }

  #roomFor(name: string): void {
    if (this.#refusal === "STORAGE_FULL") throw new OpenClawError("STORAGE_FULL", `no room for ${name}`);
  }

  #read(inode: Inode, name: string, at: number, length: number): Uint8Array<ArrayBuffer> {
    const read = inode.contents.slice(at, at + length);
    const wrong = this.#misread;
    if (wrong?.name !== name || wrong.at < at || wrong.at + wrong.bytes.length > at + length) return read;
    this.#misread = null;
    read.set(wrong.bytes, wrong.at - at);
    return read;
  }

  #file(inode: Inode, name: string): LogDiskFile {
    return {
      bytes: inode.contents.length,
      read: (at, length) => this.#read(inode, name, at, length),
      write: (at, bytes) => {
        this.#call();
        this.#roomFor(name);
        inode.write(at, bytes);
      },
      sync: () => {
        this.#call();
        if (this.#syncFails || this.#refusal === "STORAGE_FAILED") {
          this.#syncFails = false;
          inode.failSync();
          throw new OpenClawError("STORAGE_FAILED", "the sync failed");
        }
        inode.sync();
      },
      close: () => undefined,
    };
  }

  #call(): void {
    if (this.#calls >= this.#callsMax) throw new PowerCut();
    this.#calls++;
  }
}
