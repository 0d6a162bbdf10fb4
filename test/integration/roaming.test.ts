/** D8: a device between two real sites, each a process of its own that dies when the device leaves it. */
import path from "node:path";
import * as Automerge from "@automerge/automerge";
import { utf8Text } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { SqliteClientStore } from "@openclaw/edge-runtime/storage/client-store.ts";
import { expect, onTestFinished, test } from "vitest";
import { type SiteNode, startSite, temporaryFolder } from "./site.ts";

interface Log {
  text: string;
}

const SLOW = { timeout: 60_000 };

const append = (text: string) => (doc: Log) =>
  Automerge.splice(doc as Automerge.Doc<Log>, ["text"], doc.text.length, 0, text);

/** What a site has, as a client of its own sees it. */
async function seenAt({
  addresses,
}: SiteNode): Promise<{ readonly hashes: readonly string[]; readonly keys: unknown }> {
  const client = await openClaw({ gateways: addresses.slice(0, 1) });
  try {
    await expect.poll(() => client.status().link, SLOW).toBe("online");
    const handle = await client.docs.open<Log>("log", "today");
    const hashes = handle
      .history()
      .map(({ hash }) => hash)
      .sort();
    handle.close();
    const { rows } = await client.kv.range(plainRange(new Uint8Array(), null, 0));
    return { hashes, keys: rows.map(({ key, version }) => [utf8Text(key), version]) };
  } finally {
    await client.stop();
  }
}

test("documents go along, a put waits for its own site and runs there once, over restarts of the device", async () => {
  const [[shop], [depot]] = await Promise.all([startSite(1, "shop"), startSite(1, "depot")]);
  if (shop === undefined || depot === undefined) throw new Error("each has a node");
  await depot.process.kill();
  const file = path.join(await temporaryFolder(), "device.sqlite");
  let client: Client | null = null;
  onTestFinished(async () => client?.stop());
  const wake = async (): Promise<Client> => {
    await client?.stop();
    const gateways = [shop, depot].flatMap(({ addresses }) => addresses.slice(0, 1));
    client = await openClaw({
      gateways,
      store: new SqliteClientStore(file),
      subscribe: { prefixes: [""], collections: ["log"] },
      roaming: "documents",
    });
    return client;
  };
  let device = await wake();
  await expect.poll(() => device.status().cluster, SLOW).toBe("shop");
  let handle = await device.docs.open<Log>("log", "today", { initial: { text: "" } });
  await handle.change(append("at the shop ")).site;
  await device.kv.put("price", "1").site;
  await shop.process.kill();
  await expect.poll(() => device.status().link, SLOW).toBe("connecting");
  await handle.change(append("on the road ")).device;
  await device.kv.put("mine", "1").device;
  device = await wake();
  depot.process.start();
  await expect.poll(() => device.status(), SLOW).toMatchObject({ cluster: "depot", unsynced: 1, failed: 0 });
  handle = await device.docs.open<Log>("log", "today");
  await handle.change(append("at the depot ")).site;
  await device.kv.put("stock", "7").site;
  expect((await device.outbox.list()).map(({ site }) => site)).toEqual(["shop"]);
  const atDepot = await seenAt(depot);
  expect(atDepot).toEqual({ hashes: expect.any(Array), keys: [["stock", 1]] });
  expect(atDepot.hashes).toHaveLength(4);
  await depot.process.kill();
  device = await wake();
  shop.process.start();
  await expect.poll(() => device.status(), SLOW).toMatchObject({ cluster: "shop", unsynced: 0, failed: 0 });
  const expected = [
    ["mine", 1],
    ["price", 1],
  ];
  await expect.poll(() => seenAt(shop), SLOW).toEqual({ hashes: atDepot.hashes, keys: expected });
}, 300_000);
