/** What a rescued cluster keeps of the survivor's configuration: what it was beside its members, its folder and its keys. */
import { readFile, writeFile } from "node:fs/promises";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { parseDocument } from "yaml";
import { loadConfig } from "../config.ts";

const KEPT = [
  "parent",
  "uplink",
  "snapshots",
  "memory",
  "comparison",
  "retention",
  "disk",
  "mdns",
  "logLevel",
] as const;

/** @throws OpenClawError RESCUE_REFUSED when the new cluster has another key; CONFIG_INVALID */
export async function keepConfig(from: string, to: string): Promise<void> {
  const survivor = await loadConfig(from);
  const { clusterKey } = await loadConfig(to);
  if (clusterKey !== survivor.clusterKey)
    throw new OpenClawError(
      "RESCUE_REFUSED",
      `the key is not that of ${survivor.cluster}: its parent and its members would take the new cluster for a stranger`,
    );
  const before = parseDocument(await readFile(from, "utf8"));
  const after = parseDocument(await readFile(to, "utf8"));
  for (const field of KEPT) {
    const value: unknown = before.get(field);
    if (value !== undefined) after.set(field, value);
  }
  // Where it stood, the path was relative to another file.
  if (survivor.page !== null) after.set("page", survivor.page);
  if (survivor.http.origins.length > 0) after.setIn(["http", "origins"], after.createNode(survivor.http.origins));
  await writeFile(to, after.toString({ lineWidth: 0 }));
  await loadConfig(to); // what we wrote must be what is read
}
