/** `openclaw sync …`: a cluster's way to its parent. */
import type { Command } from "commander";
import { addSyncAllow, addSyncStatus } from "./sync-status.ts";

export function addSync(program: Command): void {
  const sync = program.command("sync").description("this cluster's way to its parent");
  addSyncStatus(sync);
  addSyncAllow(sync);
}
