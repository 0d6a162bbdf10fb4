/** Files of a backup that are there whole or not at all, also after a power cut. */
import { type FileHandle, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

const TEMPORARY = ".tmp";
export const MANIFEST_FILE = "manifest.json";

export const isSegment = (name: string): boolean => /^ledger-\d{16}-\d{16}$/.test(name);
export const isBase = (name: string): boolean => /^base-\d{16}\.rows$/.test(name);

export const digits = (at: number): string => String(at).padStart(16, "0");

/** tmp, fsync, rename, fsync of the folder. */
export async function writeDurably(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  const file = await NewFile.create(folder, name);
  try {
    await file.write(bytes);
    await file.keep(name);
  } finally {
    await file.close();
  }
}

/** A file that is written piece by piece, and gets its name when it is whole. */
export class NewFile {
  readonly #folder: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  #kept = false;

  /** @param unfinished a name in the folder, of which the one while it is written is made */
  static async create(folder: string, unfinished: string): Promise<NewFile> {
    const temporary = join(folder, `${unfinished}${TEMPORARY}`);
    return new NewFile(folder, temporary, await open(temporary, "w", 0o600));
  }

  private constructor(folder: string, temporary: string, handle: FileHandle) {
    this.#folder = folder;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle.writeFile(bytes);
  }

  /** Makes it durable under its name. */
  async keep(name: string): Promise<void> {
    await this.#handle.sync();
    await rename(this.#temporary, join(this.#folder, name));
    this.#kept = true;
    await syncFolder(this.#folder);
  }

  /** One that is not kept is gone. */
  async close(): Promise<void> {
    await this.#handle.close();
    if (!this.#kept) await rm(this.#temporary, { force: true });
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes everything in a folder durable. */
export async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const handle = await open(join(entry.parentPath, entry.name), "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  await syncFolder(folder);
}

/** Removes those of our files that are half written, and those that `leftover` tells. */
export async function removeLeftovers(folder: string, leftover: (name: string) => boolean): Promise<void> {
  for (const name of await readdir(folder)) {
    const whole = name.endsWith(TEMPORARY) ? name.slice(0, -TEMPORARY.length) : name;
    // Whatever else is in the folder is not ours.
    if (whole !== MANIFEST_FILE && !isSegment(whole) && !isBase(whole)) continue;
    if (whole !== name || leftover(name)) await rm(join(folder, name), { force: true });
  }
}

export const missing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ENOENT";
