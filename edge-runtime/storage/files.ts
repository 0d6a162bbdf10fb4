/** What SQLite does not do for us: names that survive a power cut. Used inside the storage workers only. */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** Makes the contents of a file, or the names in a folder, durable. */
export function fsyncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Creates a data folder, durably: SQLite syncs the folder for its WAL, but not for a new main file or our own. */
export function ensureFolder(folder: string): void {
  const created = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (created === undefined) return;
  const top = dirname(resolve(created));
  for (let path = resolve(folder); ; path = dirname(path)) {
    fsyncPath(path);
    if (path === top || path === dirname(path)) return;
  }
}

/** Removes what an earlier process left half-done: files of `folder` whose name starts with one of `prefixes`. */
export function removeLeftovers(folder: string, prefixes: readonly string[]): void {
  for (const name of readdirSync(folder)) {
    if (prefixes.some((prefix) => name.startsWith(prefix))) rmSync(join(folder, name), { force: true });
  }
}
