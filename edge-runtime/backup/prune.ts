/** Removes from a backup what lies before its newest base. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { lockFolder } from "../storage/data-lock.ts";
import { checkBase } from "./base-file.ts";
import { syncFolder } from "./files.ts";
import { LOCK_FILE, type Manifest, requireManifest, saveManifest } from "./manifest.ts";
import { type Holdings, holdings } from "./runs.ts";

export interface Pruned extends Holdings {
  readonly cluster: string;
  /** Files. */
  readonly removed: number;
}

/**
 * Only what the base takes the place of, and only where every byte of the base is right.
 * @throws OpenClawError BAD_REQUEST when there is no base; BACKUP_INVALID, UNKNOWN_VERSION, DATA_IN_USE
 */
export async function pruneBackup(folder: string): Promise<Pruned> {
  const { cluster } = await requireManifest(folder);
  const unlock = lockFolder(join(folder, LOCK_FILE));
  try {
    const manifest = await requireManifest(folder);
    const base = manifest.bases.at(-1);
    if (base === undefined) throw new OpenClawError("BAD_REQUEST", "the backup has no base: openclaw backup --full");
    await checkBase(folder, manifest, base);
    const kept: Manifest = {
      ...manifest,
      bases: [base],
      segments: manifest.segments.filter(({ first }) => first > base.revision),
      live: manifest.live.filter(({ revision }) => revision >= base.revision),
    };
    await saveManifest(folder, kept);
    const left = new Set([...kept.bases, ...kept.segments].map(({ file }) => file));
    const gone = [...manifest.bases, ...manifest.segments].filter(({ file }) => !left.has(file));
    for (const { file } of gone) await rm(join(folder, file), { force: true });
    await syncFolder(folder);
    return { cluster, ...holdings(kept), removed: gone.length };
  } finally {
    unlock();
  }
}
