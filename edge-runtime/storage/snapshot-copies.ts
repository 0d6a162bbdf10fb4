/**
 * Copies of the state for followers that fell behind the log. One is kept for a while after it was last used, and over a
 * restart, so that a transfer which broke off goes on with the same bytes.
 */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Epoch, Index } from "@openclaw/core/ids.ts";
import type { SnapshotContent } from "@openclaw/core/ports.ts";
import type { SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { decodeSnapshotContent, encodeSnapshotContent } from "@openclaw/core/replica/snapshot-codec.ts";
import { readPosition } from "@openclaw/core/state-machine/position.ts";
import { CopyPace } from "./copy-pace.ts";
import { removeLeftovers } from "./files.ts";
import { piecesOf } from "./snapshot-pieces.ts";
import { openCopy } from "./sqlite.ts";
import type { StateFile } from "./state-file.ts";
import type { SnapshotFile } from "./state-protocol.ts";
import { StateTables } from "./state-tables.ts";

/** Copies that may be in use at once; one more is refused OVERLOADED. */
const COPIES_MAX = 2;
/** How long the newest copy stays after it was last used, ms. */
const KEPT_MS = 600_000;
export const SNAPSHOT_PREFIX = "state-snapshot-";
const FILE_SUFFIX = ".db";
const CONTENT_SUFFIX = ".content";

interface Copy {
  readonly file: SnapshotFile;
  users: number;
}

export class SnapshotCopies {
  readonly #folder: string;
  readonly #inUse = new Map<string, Copy>();
  /** The newest, in use or not. */
  #kept: Copy | null = null;
  #made = 0;
  #making = false;
  /** How often all copies were forgotten. */
  #forgotten = 0;
  #expiry: NodeJS.Timeout | null = null;
  #closed = false;

  /** Finds the copy that an earlier process kept. */
  constructor(folder: string) {
    this.#folder = folder;
    const names = readdirSync(folder);
    const [found] = names
      .filter((name) => name.startsWith(SNAPSHOT_PREFIX) && name.endsWith(FILE_SUFFIX))
      .map((name) => ({ name, content: keptContent(join(folder, name)) }))
      .flatMap(({ name, content }) => (content === null ? [] : [{ name, content }]))
      .sort((a, b) => b.content.meta.index - a.content.meta.index);
    const stays = found === undefined ? [] : [found.name, contentName(found.name)];
    removeLeftovers(
      folder,
      names.filter((name) => name.startsWith(SNAPSHOT_PREFIX) && !stays.includes(name)),
    );
    if (found === undefined) return;
    this.#made = Number.parseInt(found.name.slice(SNAPSHOT_PREFIX.length), 10);
    this.#kept = { file: { path: join(folder, found.name), ...found.content }, users: 0 };
    this.#expire();
  }

  /** The kept copy if it is new enough, or a new one. @throws OpenClawError OVERLOADED, UNAVAILABLE, STORAGE_FULL */
  async take(state: StateFile, atLeast: Index): Promise<SnapshotFile> {
    const kept = this.#kept;
    if (kept !== null && kept.file.meta.index >= atLeast && isOf(kept.file.epoch, state)) return this.#use(kept);
    if (this.#making || this.#inUse.size >= COPIES_MAX)
      throw new OpenClawError("OVERLOADED", `${COPIES_MAX} snapshots are being sent`);
    this.#letGo();
    this.#making = true;
    const path = join(this.#folder, `${SNAPSHOT_PREFIX}${++this.#made}${FILE_SUFFIX}`);
    try {
      const file = await this.#make(state, path);
      this.#letGo();
      this.#kept = { file, users: 0 };
      return this.#use(this.#kept);
    } catch (error) {
      remove(path);
      throw error;
    } finally {
      this.#making = false;
    }
  }

  /** Whoever took it needs it no more. */
  drop(path: string): void {
    const copy = this.#inUse.get(path);
    if (copy === undefined || --copy.users > 0) return;
    this.#inUse.delete(path);
    if (copy === this.#kept) this.#expire();
    else remove(path);
  }

  /** Its bytes are not what they were: nobody gets it any more. */
  rotten(path: string): void {
    if (this.#kept?.file.path === path) this.#letGo();
  }

  /** S5: what nobody reads just now makes room. */
  shed(): void {
    if (this.#kept?.users === 0) this.#letGo();
  }

  /** The state was wrong, and so is every copy of it: nobody gets one any more. */
  forget(): void {
    this.#letGo();
    this.#forgotten++;
  }

  /** What is kept stays for the next process; what is in the making is of no use. */
  close(): void {
    this.#closed = true;
    if (this.#expiry !== null) clearTimeout(this.#expiry);
    for (const [path, copy] of this.#inUse) if (copy !== this.#kept) remove(path);
  }

  async #make(state: StateFile, path: string): Promise<SnapshotFile> {
    const forgotten = this.#forgotten;
    const pace = new CopyPace(path);
    try {
      await state.copyTo(path, (left) => pace.pages(left));
    } finally {
      await pace.settled();
    }
    const { meta, epoch } = describe(path);
    const content: SnapshotContent = { meta, epoch, ...(await piecesOf(path)) };
    if (this.#closed || forgotten !== this.#forgotten)
      throw new OpenClawError("UNAVAILABLE", "the state was closed while it was copied");
    writeFileSync(contentName(path), encodeSnapshotContent(content), { mode: 0o600 });
    return { path, ...content };
  }

  #use(copy: Copy): SnapshotFile {
    if (this.#expiry !== null) clearTimeout(this.#expiry);
    this.#expiry = null;
    copy.users++;
    this.#inUse.set(copy.file.path, copy);
    return copy.file;
  }

  #expire(): void {
    if (this.#closed) return;
    this.#expiry = setTimeout(() => this.#letGo(), KEPT_MS);
    this.#expiry.unref();
  }

  /** Keeps it no longer; while it is in use, its last user removes it. */
  #letGo(): void {
    const kept = this.#kept;
    this.#kept = null;
    if (this.#expiry !== null) clearTimeout(this.#expiry);
    this.#expiry = null;
    if (kept !== null && kept.users === 0) remove(kept.file.path);
  }
}

function describe(path: string): { readonly meta: SnapshotMeta; readonly epoch: Epoch } {
  const connection = openCopy(path);
  try {
    const tables = new StateTables(connection);
    return { meta: tables.applied().meta, epoch: readPosition(tables.state).epoch };
  } finally {
    connection.close();
  }
}

const isOf = (epoch: Epoch, state: StateFile): boolean => state.read({ kind: "position" }).epoch.nonce === epoch.nonce;

const contentName = (path: string): string => path.slice(0, -FILE_SUFFIX.length) + CONTENT_SUFFIX;

/** What a copy was when it was complete; null for one that is not, or has another size than it had. */
function keptContent(path: string): SnapshotContent | null {
  try {
    const content = decodeSnapshotContent(readFileSync(contentName(path)));
    return statSync(path).size === content.bytes ? content : null;
  } catch {
    // None beside it, or one half-written: the copy was not complete. What else the disk has to say it says when used.
    return null;
  }
}

function remove(path: string): void {
  for (const name of [path, `${path}-journal`, contentName(path)]) rmSync(name, { force: true });
}
