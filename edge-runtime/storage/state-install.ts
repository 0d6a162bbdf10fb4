/**
 * R8: how a staged snapshot becomes the state. A crash after any step leaves either the old state or the new one, whole:
 * the old connection was checkpointed and closed before the first step, so its database file is complete by itself.
 */
import { linkSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Index } from "@openclaw/core/ids.ts";
import { fsyncPath, removeLeftovers } from "./files.ts";
import { STATE_FILE } from "./state-protocol.ts";

export const INCOMING_FILE = "incoming.db";
/** What the incoming file is, or shall become. */
export const INCOMING_CONTENT = "incoming.content";

export interface InstallStep {
  readonly name: string;
  readonly run: (folder: string) => void;
}

export const ASIDE_PREFIX = "state-diverged-";

/** A wrong state that is replaced stays, under the round that told of it, until another one is: somebody may ask why. */
export function asideSteps(round: Index): readonly InstallStep[] {
  const aside = `${ASIDE_PREFIX}${round}.db`;
  return [
    {
      name: "remove a wrong state that was kept earlier",
      run: removeAside,
    },
    // A second name, not a move: at no moment is there no state.
    {
      name: "keep the state under a second name",
      run: (folder) => linkSync(join(folder, STATE_FILE), join(folder, aside)),
    },
  ];
}

/** Nothing reads it but a person. */
export function removeAside(folder: string): void {
  removeLeftovers(folder, [ASIDE_PREFIX]);
}

export const INSTALL_STEPS: readonly InstallStep[] = [
  { name: "fsync the staged file", run: (folder) => fsyncPath(join(folder, INCOMING_FILE)) },
  {
    // SQLite does not check that a WAL belongs to the database beside it: one left over would be replayed into the new state.
    name: "remove the old state's side files",
    run: (folder) => {
      for (const suffix of ["-wal", "-shm", "-journal"]) rmSync(join(folder, STATE_FILE + suffix), { force: true });
    },
  },
  { name: "fsync the folder, so that they are gone before the rename", run: fsyncPath },
  { name: "rename", run: (folder) => renameSync(join(folder, INCOMING_FILE), join(folder, STATE_FILE)) },
  { name: "fsync the folder", run: fsyncPath },
];
