/** An author and a viewer of one document, and a gateway that tells the viewer of changes which nobody may ever commit (D5). */
import * as Automerge from "@automerge/automerge";
import type { Client, ClientOptions } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { ProvisionalGateway } from "@openclaw/core/provisional/gateway.ts";
import { described } from "../documents/changes.ts";
import { type TestCluster, World } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";

export const NAMED = { collection: "log", document: "today" };
export async function begun(initial = EMPTY, options: Partial<ClientOptions> = {}) {
  const world = new World();
  const site = await world.cluster("california");
  const gateway = new ProvisionalGateway({ clock: world.clock, publish: () => undefined });
  world.doors = { ...world.doors, provisional: gateway };
  const open = async (client: Client): Promise<DocumentHandle<Log>> => {
    await world.flush();
    const opening = client.docs.open<Log>("log", "today", { initial });
    await world.flush();
    return opening;
  };
  const store = new MemoryClientStore();
  const [author, viewer] = [await world.client(site), await world.client(site, { store, ...options })];
  const [authors, viewers] = [await open(author), await open(viewer)];
  await world.flush();
  return { world, site, gateway, open, store, author, viewer, authors, viewers };
}

export const hashesAt = async (site: TestCluster): Promise<readonly string[]> =>
  (await site.read({ kind: "document", ...NAMED, after: 0, limit: 1_000 })).changes.map(({ hash }) => hash).sort();
export const hashesIn = (handle: DocumentHandle<Log>): readonly string[] =>
  handle
    .history()
    .map(({ hash }) => hash)
    .sort();

/** Changes of somebody who never sends them, each after the one before, on top of what a handle shows. */
export function ghosts(
  handle: DocumentHandle<Log>,
  actor: string,
  ...texts: readonly string[]
): readonly DocumentChange[] {
  const before = handle.heads();
  let doc = Automerge.clone(handle.doc(), { actor });
  for (const text of texts) doc = Automerge.change(doc, append(text));
  return Automerge.getChangesSince(doc, [...before]).map(described);
}

export function only<T>(all: readonly T[]): T {
  const [one] = all;
  if (one === undefined || all.length > 1) throw new Error(`${all.length} of one`);
  return one;
}
