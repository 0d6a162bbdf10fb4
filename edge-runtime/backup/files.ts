/** Files of a backup that are there whole or not at all, also after a power cut. */
import { open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

const TEMPORARY = ".tmp";
export const MANIFEST_FILE = "manifest.json";

export const isSegment = (name: string): boolean => /^ledger-\d{16}-\d{16}$/.test(name);

/** tmp, fsync, rename, fsync of the folder. */
export async function writeDurably(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(folder, `${name}${TEMPORARY}`);
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(folder, name));
  await syncFolder(folder);
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

/** Removes those of our files that are half written, and those that `leftover` tells. */
export async function removeLeftovers(folder: string, leftover: (name: string) => boolean): Promise<void> {
  for (const name of await readdir(folder)) {
    const whole = name.endsWith(TEMPORARY) ? name.slice(0, -TEMPORARY.length) : name;
    // Whatever else is in the folder is not ours.
    if (whole !== MANIFEST_FILE && !isSegment(whole)) continue;
    if (whole !== name || leftover(name)) await rm(join(folder, name), { force: true });
  }
}

export const missing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ENOENT";
