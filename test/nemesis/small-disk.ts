/** One node's data on a tmpfs of its own, which can be full. Only inside of a mount namespace of our own. */
import fs from "node:fs/promises";
import type { Member } from "./cluster.ts";
import { command } from "./command.ts";

/** While it has room: a limit on paper, since a tmpfs takes what is written to it. */
const ROOM = "8g";
/** Its size and its use are two questions, between which the node writes. */
const TRIES_MAX = 50;

export interface SmallDisk {
  readonly owner: Member;
  /** From now on it is as large as what is on it. */
  fill(): Promise<void>;
  free(): Promise<void>;
  /** Takes it away, and leaves its content where it was mounted: there it outlives our mounts. */
  unmount(): Promise<void>;
}

/** @param owner its data folder is empty still */
export async function mountSmallDisk(owner: Member): Promise<SmallDisk> {
  const folder = owner.dataFolder;
  await command("mount", "-t", "tmpfs", "-o", `size=${ROOM}`, "tmpfs", folder);
  const resize = (size: string): Promise<string> => command("mount", "-o", `remount,size=${size}`, folder);
  return {
    owner,
    async fill() {
      for (let tries = 1; ; tries++) {
        const { blocks, bfree, bsize } = await fs.statfs(folder);
        try {
          await resize(String((blocks - bfree) * bsize));
          return;
        } catch (error) {
          if (tries === TRIES_MAX) throw error;
        }
      }
    },
    async free() {
      await resize(ROOM);
    },
    async unmount() {
      const saved = `${folder}.saved`;
      await fs.cp(folder, saved, { recursive: true });
      await command("umount", folder);
      await fs.rmdir(folder);
      await fs.rename(saved, folder);
    },
  };
}
