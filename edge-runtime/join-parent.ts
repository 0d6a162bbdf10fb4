/** How a cluster that is there already comes below a parent: from a token into its configurations. */
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import { parseDocument } from "yaml";
import { syncFolder } from "./backup/files.ts";
import { loadConfig, type NodeConfig } from "./config.ts";
import { CONFIG_FILE, configsIn } from "./init.ts";
import { parentOf, type Subscribed } from "./parent-configuration.ts";
import type { SiteToken } from "./site-token.ts";

export interface ParentPlan {
  /** A cluster's folder, or one node's. */
  readonly directory: string;
  readonly token: SiteToken;
  /** Null: what it is now, or nothing. */
  readonly subscribe: Subscribed | null;
}

export interface ParentJoined {
  readonly cluster: ClusterId;
  readonly parent: ClusterId;
  /** The parent that it had before; null for none. */
  readonly before: ClusterId | null;
  /** The configurations that were written. */
  readonly configs: readonly string[];
}

/**
 * Puts a cluster, or a further one of its nodes, below a parent. Comments in the configurations stay. The same token on
 * every box of one cluster gives the same; nodes that run take it when they are restarted.
 * @throws OpenClawError CONFIG_INVALID when there is no configuration, WRONG_CLUSTER
 */
export async function joinParent({ directory, token, subscribe }: ParentPlan): Promise<ParentJoined> {
  const configs = await configsOf(directory);
  const nodes = await Promise.all(configs.map(async (file) => ({ file, config: await loadConfig(file) })));
  const [first] = nodes;
  if (first === undefined) throw new OpenClawError("CONFIG_INVALID", `${directory} holds no node`);
  const { cluster, parent: before } = first.config;
  const other = nodes.find(({ config }) => config.cluster !== cluster);
  if (other !== undefined)
    throw new OpenClawError(
      "CONFIG_INVALID",
      `${directory} holds nodes of ${cluster} and of ${other.config.cluster}: the token is for one; name its own folder`,
    );
  // All of it before any of it is written.
  const texts = await Promise.all(
    nodes.map(async (node) => ({ ...node, text: await joinedText(node, token, subscribe) })),
  );
  for (const { file, text } of texts) await replaceConfig(file, text);
  return { cluster, parent: token.grant.cluster, before: before?.cluster ?? null, configs };
}

async function joinedText(
  { file, config }: { readonly file: string; readonly config: NodeConfig },
  token: SiteToken,
  subscribe: Subscribed | null,
): Promise<string> {
  const wanted = subscribe ?? config.parent?.subscribe ?? { collections: [], prefixes: [], mirrors: false };
  const document = parseDocument(await readFile(file, "utf8"));
  document.set("parent", document.createNode(parentOf(token, config, wanted)));
  return document.toString({ lineWidth: 0 });
}

async function configsOf(directory: string): Promise<readonly string[]> {
  const own = join(directory, CONFIG_FILE);
  const nodes = await configsIn(directory);
  return nodes.length > 0 ? nodes : [own];
}

/** Durably, and as readable as it was. What cannot be read again is not put in the place of what can. */
async function replaceConfig(file: string, text: string): Promise<void> {
  const next = `${file}.next`;
  const mode = (await stat(file)).mode & 0o777;
  const handle = await open(next, "w", mode);
  try {
    await handle.chmod(mode);
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await loadConfig(next);
  } catch (error) {
    await rm(next);
    throw error;
  }
  await rename(next, file);
  await syncFolder(dirname(file));
}
