import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type NodeObserver, NodeProcess } from "@openclaw/demo/node-process.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { afterEach, beforeEach, expect, test } from "vitest";

/** Ready at once; says its process id; ends on request, in good order or not. */
const SERVER = `
  import http from "node:http";
  const server = http.createServer((request, response) => {
    if (request.url === "/crash") process.exit(3);
    response.end(String(process.pid));
  });
  server.listen(Number(process.argv[2]), "127.0.0.1");
  if (process.argv[3] === "stubborn") process.on("SIGTERM", () => {});
`;

let folder: string;
let started: NodeProcess[];
let reports: string[];
/** Resolves at the next report. */
let reported: PromiseWithResolvers<string>;
let starts: number;

const observer: NodeObserver = {
  report: (text) => {
    reports.push(text);
    reported.resolve(text);
    reported = Promise.withResolvers();
  },
  started: () => void starts++,
};

beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "openclaw-process-"));
  await fs.writeFile(path.join(folder, "server.mjs"), SERVER);
  started = [];
  reports = [];
  reported = Promise.withResolvers();
  starts = 0;
});
afterEach(async () => {
  await Promise.all(started.map((node) => node.kill()));
  await fs.rm(folder, { recursive: true, force: true });
});

async function node(script = "server.mjs"): Promise<NodeProcess> {
  const [port = 0] = await freePorts([null]);
  const args = [path.join(folder, script), String(port)];
  const one = new NodeProcess(
    { name: "site-1", args, logFile: path.join(folder, "log"), http: `http://127.0.0.1:${port}` },
    observer,
  );
  started.push(one);
  one.start();
  return one;
}

const pidOf = async ({ http }: NodeProcess): Promise<number> => Number(await (await fetch(http)).text());

test("a node that dies unasked is reported, and started again", async () => {
  const one = await node();
  await one.ready();
  const before = await pidOf(one);
  expect(one.pid).toBe(before);
  const report = reported.promise;
  await fetch(`${one.http}/crash`).catch(() => undefined);
  expect(await report).toMatch(/site-1 ended with exit code 3; starting it again in 500 ms/);
  await expect.poll(() => starts, { timeout: 60_000 }).toBe(2);
  await one.ready();
  expect(await pidOf(one)).not.toBe(before);
});

test("a node that is killed or stopped on purpose stays down, without a word", async () => {
  const one = await node();
  await one.ready();
  await one.kill();
  expect(one.pid).toBeNull();
  one.start();
  await one.ready();
  await one.stop();
  expect(one.pid).toBeNull();
  expect(reports).toEqual([]);
  expect(starts).toBe(2);
});

test("a node that cannot start says so with the end of its log", async () => {
  await fs.writeFile(path.join(folder, "broken.mjs"), 'console.error("CONFIG_INVALID: line 3"); process.exit(1);');
  const one = await node("broken.mjs");
  await expect(one.ready()).rejects.toThrow(/site-1 ended before it was ready.*CONFIG_INVALID: line 3/s);
});
