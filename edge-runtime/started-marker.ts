/** A file beside a node's identity that says that the node has run; it outlives the node's data folder. */
import { open } from "node:fs/promises";
import { dirname } from "node:path";

const TEXT = "This node has run. Without its data it must not start under this name: docs/errors.md, DATA_MISSING.\n";

/** @param identity the path of the node's identity */
export const markerOf = (identity: string): string => `${identity}.started`;

/** Durable when it resolves. */
export async function markStarted(identity: string): Promise<void> {
  const file = await open(markerOf(identity), "w", 0o600);
  try {
    await file.writeFile(TEXT);
    await file.sync();
  } finally {
    await file.close();
  }
  const folder = await open(dirname(identity), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
