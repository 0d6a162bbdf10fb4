/** The bundled node, as an installed package runs it: every worker starts, and native code and WebAssembly are found. */
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { utf8Text } from "@openclaw/core/bytes.ts";
import { textOf } from "@openclaw/core/error-texts.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { expect, onTestFinished, test } from "vitest";
import { layOutSite } from "./site.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

test("a node runs from its bundle alone: keys and documents are served, and are there after a kill", async () => {
  // Below the repository, where the packages are found that stay outside of the bundle.
  const folder = await fs.mkdtemp(path.join(ROOT, "node_modules", ".bundle-"));
  onTestFinished(() => fs.rm(folder, { recursive: true, force: true }));
  await promisify(execFile)(process.execPath, [path.join(ROOT, "scripts/bundle.mjs"), folder]);
  const sources = (await fs.readdir(folder, { recursive: true })).filter((file) => file.endsWith(".ts"));
  expect(sources).toEqual([]);

  const [node] = await layOutSite(1, "shop", path.join(folder, "openclaw.js"));
  if (node === undefined) throw new Error("one node was asked for");
  node.process.start();
  await node.process.ready();
  const client = await openClaw({ gateways: node.addresses.slice(0, 1) });
  onTestFinished(() => client.stop());
  await client.kv.put("till/1", "open").site;
  const handle = await client.docs.open<{ text: string }>("log", "today", { initial: { text: "" } });
  await handle.change((doc) => {
    doc.text = "swept";
  }).site;

  await node.process.kill();
  node.process.start();
  await node.process.ready();
  const value = await fetch(`${node.http}/v1/kv/till/1`);
  expect(utf8Text(await value.bytes())).toBe("open");
  const document = await fetch(`${node.http}/v1/docs/log/today`);
  expect(await document.json()).toMatchObject({ document: { text: "swept" } });
  // Which texts of errors a bundle has is chosen where it is built.
  const nothing = await fetch(`${node.http}/v1/kv/till/2`);
  expect(await nothing.json()).toMatchObject({ message: expect.stringContaining(textOf("NOT_FOUND")) });
}, 300_000);
