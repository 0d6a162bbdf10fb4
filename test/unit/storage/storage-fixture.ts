/** Names and folders that the storage tests share. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterId, isClusterId, isNodeId, type NodeId } from "@openclaw/core/ids.ts";
import { onTestFinished } from "vitest";

function checked<T extends string>(text: string, test: (value: unknown) => value is T): T {
  if (!test(text)) throw new Error(`not valid: ${text}`);
  return text;
}

export const CLUSTER: ClusterId = checked("california", isClusterId);
export const OTHER_CLUSTER: ClusterId = checked("alaska", isClusterId);
export const NODE: NodeId = checked("california-1", isNodeId);
export const OTHER_NODE: NodeId = checked("california-2", isNodeId);

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "openclaw-storage-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What a process killed now would leave: its files as they stand. */
export function leftByKill(folder: string): string {
  const copy = temporaryFolder();
  cpSync(folder, copy, { recursive: true });
  return copy;
}
