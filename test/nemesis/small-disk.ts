/** One node's data on a tmpfs of its own, which can be full. Only inside of a mount namespace of our own. */
import fs from "node:fs/promises";
import type { Member } from "./cluster.ts";
import { command } from "./command.ts";

/** While it has room: a limit on paper, since a tmpfs takes what is written to it. */
const ROOM = "8g";
/** Its size and its use are two questions, between which the node writes. */
const TRIES_MAX = 50;

export class SmallDisk {
  #owner: Member;
  #isMounted = false;

  private constructor(owner: Member) {
    this.#owner = owner;
  }

  /** @param owner its data folder is empty still */
  static async mount(owner: Member): Promise<SmallDisk> {
    const disk = new SmallDisk(owner);
    await disk.moveTo(owner);
    return disk;
  }

  get owner(): Member {
    return this.#owner;
  }

  /** From now on it is as large as what is on it. */
  async fill(): Promise<void> {
    for (let tries = 1; ; tries++) {
      const { blocks, bfree, bsize } = await fs.statfs(this.#owner.dataFolder);
      try {
        await this.#resize(String((blocks - bfree) * bsize));
        return;
      } catch (error) {
        if (tries === TRIES_MAX) throw error;
      }
    }
  }

  async free(): Promise<void> {
    await this.#resize(ROOM);
  }

  /** With all that is on it; its owner is dead. */
  async destroy(): Promise<void> {
    await command("umount", this.#owner.dataFolder);
    this.#isMounted = false;
  }

  /** An empty one for its owner's successor, which has not run yet. */
  async moveTo(owner: Member): Promise<void> {
    this.#owner = owner;
    await fs.mkdir(owner.dataFolder, { recursive: true });
    await command("mount", "-t", "tmpfs", "-o", `size=${ROOM}`, "tmpfs", owner.dataFolder);
    this.#isMounted = true;
  }

  /** Takes it away, and leaves its content where it was mounted: there it outlives our mounts. */
  async unmount(): Promise<void> {
    if (!this.#isMounted) return;
    const folder = this.#owner.dataFolder;
    const saved = `${folder}.saved`;
    await fs.cp(folder, saved, { recursive: true });
    await this.destroy();
    await fs.rmdir(folder);
    await fs.rename(saved, folder);
  }

  #resize(size: string): Promise<string> {
    return command("mount", "-o", `remount,size=${size}`, this.#owner.dataFolder);
  }
}
