/**
 * What counts against a node's disk budget (S5): every file of its data folder, by its size. The log's spares count, as
 * they are there. The pages of the state that SQLite keeps for later count as room: rows are written over them before
 * the file grows, and it never shrinks.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Disk, DiskUse } from "@openclaw/core/replica/disk-budget.ts";
import { SEGMENTS_OVERHEAD_BYTES } from "@openclaw/core/segment-log/segments.ts";
import { SNAPSHOT_PREFIX } from "./snapshot-copies.ts";
import { ASIDE_PREFIX } from "./state-install.ts";
import { STATE_FILE, WAL_BYTES_MAX } from "./state-protocol.ts";
import type { SqliteStateStore } from "./state-store.ts";

/** What a node takes for itself before it holds anything, when it is at work: WAL, Raft log and spare segments. */
export const emptyNodeBytes = (logBytes: number): number => WAL_BYTES_MAX + logBytes + SEGMENTS_OVERHEAD_BYTES;

const isLog = (name: string): boolean => name.startsWith("log") || name === `${STATE_FILE}-wal`;
const isCopy = (name: string): boolean => name.startsWith(SNAPSHOT_PREFIX) || name.startsWith(ASIDE_PREFIX);

export class NodeDisk implements Disk {
  readonly #folder: string;
  readonly #state: Pick<SqliteStateStore, "room" | "dropCopies">;

  constructor(folder: string, state: Pick<SqliteStateStore, "room" | "dropCopies">) {
    this.#folder = folder;
    this.#state = state;
  }

  async use(): Promise<DiskUse> {
    const { reusable, removing } = await this.#state.room();
    const names = await readdir(this.#folder);
    const files = await Promise.all(
      names.map(async (name) => ({ name, bytes: await sizeOf(join(this.#folder, name)) })),
    );
    const total = (counts: (name: string) => boolean): number =>
      files.reduce((sum, { name, bytes }) => (counts(name) ? sum + bytes : sum), 0);
    return { files: total(() => true), reusable, log: total(isLog), copies: total(isCopy), removing };
  }

  dropCopies(): Promise<void> {
    return this.#state.dropCopies();
  }
}

/** 0 of a file that went since the folder was read: the log renames its segments, copies are removed. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    throw error;
  }
}
