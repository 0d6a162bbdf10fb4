/** The client for Node.js against a real site of three processes, over TCP. */
import { setTimeout as sleep } from "node:timers/promises";
import * as Automerge from "@automerge/automerge";
import { utf8Text } from "@openclaw/core/bytes.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { expect, onTestFinished, test } from "vitest";
import { startSite } from "./site.ts";

const PUTS = 600;

test("Q2: puts go on through the death of gateways, leader included: each once, in the caller's order", async () => {
  const nodes = await startSite(3);
  const client = await openClaw({
    gateways: nodes.flatMap(({ addresses }) => addresses.slice(0, 1)),
    subscribe: { prefixes: ["p/"] },
  });
  onTestFinished(() => client.stop());
  const revisions: number[] = [];
  const edits = [];
  for (let i = 0; i < PUTS; i++) {
    const edit = client.kv.put(`p/${String(i).padStart(4, "0")}`, String(i));
    edits.push(edit.site.then((at) => revisions.push(at)));
    await sleep(5);
    // One gateway after the other is killed and started again while puts go on: one of them leads, and one serves us.
    const at = i % (PUTS / 3);
    const node = nodes[Math.floor(i / (PUTS / 3))];
    if (at === 50) await node?.process.kill();
    if (at === 150) node?.process.start();
  }
  await Promise.all(edits);
  expect(revisions).toEqual(Array.from({ length: PUTS }, (_, i) => i + 1));
  expect(client.status()).toMatchObject({ unsynced: 0, failed: 0 });
  const rows = await client.kv.list("p/", { consistency: "linearizable" });
  expect(rows.map(({ key, modRevision }) => [utf8Text(key), modRevision])).toEqual(
    Array.from({ length: PUTS }, (_, i) => [`p/${String(i).padStart(4, "0")}`, i + 1]),
  );
}, 300_000);

test("two clients at two gateways write one document; a third that comes later finds it", async () => {
  const nodes = await startSite(3);
  const at = (node: number) => openClaw({ gateways: nodes[node]?.addresses.slice(0, 1) ?? [] });
  const clients = await Promise.all([at(0), at(1)]);
  onTestFinished(async () => {
    await Promise.all(clients.map((client) => client.stop()));
  });
  const handles = await Promise.all(
    clients.map((client) => client.docs.open<{ text: string }>("log", "today", { initial: { text: "" } })),
  );
  const edits = handles.flatMap((handle, i) =>
    Array.from({ length: 50 }, () =>
      handle.change((doc) => Automerge.splice(doc as Automerge.Doc<typeof doc>, ["text"], 0, 0, String(i))),
    ),
  );
  await Promise.all(edits.map(({ site }) => site));
  await expect.poll(() => handles.map((handle) => handle.doc().text.length), { timeout: 60_000 }).toEqual([100, 100]);
  const third = await at(2);
  clients.push(third);
  await expect.poll(() => third.status().link, { timeout: 60_000 }).toBe("online");
  const late = await third.docs.open<{ text: string }>("log", "today");
  await expect.poll(() => late.doc().text, { timeout: 60_000 }).toBe(handles[0]?.doc().text);
  expect(handles[1]?.doc().text).toBe(handles[0]?.doc().text);
}, 300_000);
