/**
 * Whether this node has run before. A node that comes back empty under its old name may have voted and acknowledged what
 * it no longer knows of, and would vote again (R5): so a marker beside its identity outlives its data folder.
 */
import { access, readdir } from "node:fs/promises";
import { join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { NodeConfig } from "./config.ts";
import { markerOf, markStarted } from "./started-marker.ts";
import { SegmentLogStore } from "./storage/log-store.ts";
import { STATE_FILE } from "./storage/state-protocol.ts";

/**
 * Refuses a node whose log is gone. At its first start it makes the log, then the marker, durably, before anything can be
 * voted or acknowledged: a crash between the two leaves a node that has said nothing yet.
 * @throws OpenClawError DATA_MISSING, and what opening the log throws
 */
export async function requireOwnData(
  config: Pick<NodeConfig, "identity" | "dataDir" | "cluster" | "node">,
): Promise<void> {
  const hasLog = await holdsLog(config.dataDir);
  const hasRun = await exists(markerOf(config.identity));
  // A state without a log was written after a log that is gone, whatever became of the marker.
  if (!hasLog && (hasRun || (await exists(join(config.dataDir, STATE_FILE)))))
    throw new OpenClawError("DATA_MISSING", `the log of ${config.node} in ${config.dataDir}`);
  if (hasRun) return;
  if (!hasLog) {
    const log = new SegmentLogStore(config);
    await log.open();
    await log.close();
  }
  await markStarted(config.identity);
}

/** A log has at least one segment, whatever its number (core/segment-log/segment.ts). */
export async function holdsLog(folder: string): Promise<boolean> {
  const names = (await exists(folder)) ? await readdir(folder) : [];
  return names.some((name) => /^log-.*\.segment$/.test(name));
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
