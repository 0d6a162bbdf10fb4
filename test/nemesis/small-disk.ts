/** One node's data on a tmpfs of its own, which can be filled. Only inside of a mount namespace of our own. */
import fs from "node:fs/promises";
import path from "node:path";
import type { Member } from "./cluster.ts";
import { command } from "./command.ts";

/** Enough for a node's data in a long run, little enough to be filled in a moment. */
const SIZE_MB = 384;
const CHUNK = Buffer.alloc(256 * 1024);
/** Where the filler goes: beside the data, on the same disk. */
const FILLER = "filler";

export interface SmallDisk {
  readonly owner: Member;
  /** To the last byte. */
  fill(): Promise<void>;
  free(): Promise<void>;
  /** Takes it away, and leaves its content where it was mounted: there it outlives our mounts. */
  unmount(): Promise<void>;
}

/** @param owner its data folder is empty still */
export async function mountSmallDisk(owner: Member): Promise<SmallDisk> {
  const folder = owner.dataFolder;
  await command("mount", "-t", "tmpfs", "-o", `size=${SIZE_MB}m`, "tmpfs", folder);
  const filler = path.join(folder, FILLER);
  return {
    owner,
    async fill() {
      const file = await fs.open(filler, "a");
      try {
        for (let size = CHUNK.length; size >= 1; ) {
          try {
            const { bytesWritten } = await file.write(CHUNK, 0, size);
            if (bytesWritten < size) size = Math.floor(size / 2);
          } catch (error) {
            if (!(error instanceof Error) || !("code" in error) || error.code !== "ENOSPC") throw error;
            size = Math.floor(size / 2);
          }
        }
      } finally {
        await file.close();
      }
    },
    free: () => fs.rm(filler, { force: true }),
    async unmount() {
      const saved = `${folder}.saved`;
      await fs.cp(folder, saved, { recursive: true });
      await command("umount", folder);
      await fs.rmdir(folder);
      await fs.rename(saved, folder);
    },
  };
}
