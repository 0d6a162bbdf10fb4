/** `openclaw sync …`: a cluster's way to its parent. */
import type { Command } from "commander";
import { addAdoptParent } from "./sync-adopt.ts";

export function addSync(program: Command): void {
  const sync = program.command("sync").description("this cluster's way to its parent");
  addAdoptParent(sync);
}
