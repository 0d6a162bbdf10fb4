/**
 * R8: how a staged snapshot becomes the state. A crash after any step leaves either the old state or the new one, whole:
 * the old connection was checkpointed and closed before the first step, so its database file is complete by itself.
 */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fsyncPath } from "./files.ts";
import { STATE_FILE } from "./state-protocol.ts";

export const INCOMING_FILE = "incoming.db";
/** What the incoming file is, or shall become. */
export const INCOMING_CONTENT = "incoming.content";

interface InstallStep {
  readonly name: string;
  readonly run: (folder: string) => void;
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
