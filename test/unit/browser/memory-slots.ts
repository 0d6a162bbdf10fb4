/** Slots of second copies in memory, as a disk sees them: what was not flushed may be gone after a kill, or half there. */
import { CopyFile, type SyncFile } from "@openclaw/browser/storage/copy-file.ts";
import type { CopySlots } from "@openclaw/browser/storage/copy-slots.ts";
import type { CopyPlace } from "@openclaw/browser/storage/second-copy.ts";
import type { LinkId } from "@openclaw/core/ids.ts";

export class MemoryFile implements SyncFile {
  /** As the process sees it. */
  bytes = new Uint8Array(0);
  flushes = 0;
  isOpen = false;
  /** The next writes fail. */
  isFull = false;

  getSize(): number {
    return this.bytes.length;
  }
  read(into: Uint8Array, { at }: { readonly at: number }): number {
    const read = this.bytes.subarray(at, at + into.length);
    into.set(read);
    return read.length;
  }
  write(bytes: Uint8Array, { at }: { readonly at: number }): number {
    if (!this.isOpen) throw new DOMException("closed", "InvalidStateError");
    if (this.isFull) throw new DOMException("full", "QuotaExceededError");
    const grown = new Uint8Array(Math.max(this.bytes.length, at + bytes.length));
    grown.set(this.bytes);
    grown.set(bytes, at);
    this.bytes = grown;
    return bytes.length;
  }
  truncate(size: number): void {
    this.bytes = this.bytes.slice(0, size);
  }
  flush(): void {
    this.flushes++;
  }
  close(): void {
    this.isOpen = false;
  }
}

export class MemorySlots implements CopySlots, CopyPlace {
  readonly files: MemoryFile[] = [];
  readonly links = new Set<LinkId>();
  #turn: Promise<unknown> = Promise.resolve();

  async slots(): Promise<CopySlots> {
    return this;
  }
  async claimed(): Promise<ReadonlySet<LinkId>> {
    return this.links;
  }
  inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
  async free(): Promise<readonly CopyFile[]> {
    return this.files.filter(({ isOpen, bytes }) => !isOpen && bytes.length > 0).map(opened);
  }
  async empty(): Promise<CopyFile> {
    const found = this.files.find(({ isOpen, bytes }) => !isOpen && bytes.length === 0);
    const file = found ?? new MemoryFile();
    if (found === undefined) this.files.push(file);
    return opened(file);
  }
  /** Every worker ends. */
  kill(): void {
    for (const file of this.files) file.isOpen = false;
  }
}

function opened(file: MemoryFile): CopyFile {
  file.isOpen = true;
  return new CopyFile(file);
}
