/** `openclaw ledger verify`, and the two routes behind it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encode } from "@openclaw/core/codec.ts";
import { revision } from "@openclaw/core/ids.ts";
import { readableRecords } from "@openclaw/edge-runtime/storage/record-batch.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import Database from "better-sqlite3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { putAt, STATE_CLUSTER, STATE_EPOCH, STATE_MEMBERSHIP, STATE_NODE } from "../../contracts/state-store.ts";
import { temporaryFolder } from "../storage/storage-fixture.ts";
import { startTestNode, type TestNode } from "./node.ts";

const PROGRAM = fileURLToPath(new URL("../../../edge-runtime/cli/openclaw.ts", import.meta.url));

let node: TestNode;
let endpoint: string;
beforeAll(async () => {
  node = await startTestNode();
  endpoint = await node.listen();
  for (let i = 1; i <= 5; i++) await node.put(`key/${i}`, "v");
});
afterAll(() => node.stop());

async function verify(...args: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const { OPENCLAW_ENDPOINT: _, OPENCLAW_TOKEN: __, ...env } = process.env;
  const child = spawn(process.execPath, [PROGRAM, "ledger", "verify", ...args], { env, stdio: "pipe" });
  const text = { out: "", error: "" };
  child.stdout.on("data", (chunk) => {
    text.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    text.error += chunk;
  });
  const [code] = await once(child, "close");
  return { code, ...text };
}

test("a running node's ledger is checked, all of it or a part", async () => {
  expect(await verify("--endpoint", endpoint)).toEqual({
    code: 0,
    out: "revisions 1 to 5 are as they were written\n",
    error: "",
  });
  const part = await verify("--from", "3", "--to", "4", "--json", "--endpoint", endpoint);
  expect(JSON.parse(part.out)).toMatchObject({ from: 3, fault: null, revision: 5 });
  expect(await verify("--from", "9", "--endpoint", endpoint)).toMatchObject({
    code: 1,
    error: expect.stringMatching(/^BAD_REQUEST: .*the ledger ends at revision 5/),
  });
});

test("replicas are compared, and each one's hash is told", async () => {
  const { code, out } = await verify("--replicas", "--endpoint", endpoint);
  expect(code).toBe(0);
  expect(out).toMatch(/^as of log index \d+, revision 5: a majority holds one state\n/);
  expect(out).toMatch(/\ncalifornia-1 {2}[0-9a-f]{64}\n/);
  const { agreement, comparison } = JSON.parse((await node.app.inject("/v1/status")).body);
  expect(agreement).toBe("sound");
  expect(comparison).toMatchObject({ verdict: "agreed", diverged: [], voters: ["california-1"] });
});

test("a stopped node's folder is checked; a wrong revision is named, and the exit code says so", async () => {
  const dataDir = temporaryFolder();
  const store = new SqliteStateStore({
    dataDir,
    cluster: STATE_CLUSTER,
    node: STATE_NODE,
    epoch: STATE_EPOCH,
    membership: STATE_MEMBERSHIP,
  });
  await store.open();
  await store.apply([1, 2, 3, 4, 5, 6].map((at) => putAt(at, "a", `value ${at}`)));
  expect(await verify("--data-dir", dataDir)).toMatchObject({
    code: 1,
    error: expect.stringMatching(/^DATA_IN_USE: /),
  });
  await store.close();
  expect(await verify("--data-dir", dataDir)).toMatchObject({ code: 0, error: "" });

  const database = new Database(join(dataDir, "state.db"));
  const packed = database.prepare<[], Buffer>("SELECT packed FROM ledger").pluck().get();
  if (packed === undefined) throw new Error("no row");
  const records = readableRecords(packed).records.map((stored) => ({ ...stored }));
  const wrong = records.find((stored) => stored.revision === revision(4))?.record ?? new Uint8Array(0);
  wrong[wrong.length - 2] = (wrong.at(-2) ?? 0) ^ 1;
  database
    .prepare("UPDATE ledger SET packed = ?")
    .run(Buffer.from(encode(records.map(({ revision: at, record, hash }) => [at, record, hash]))));
  database.close();
  expect(await verify("--data-dir", dataDir)).toMatchObject({
    code: 1,
    out: expect.stringMatching(/^revision 4 is wrong \(record\): /),
  });
  expect(await verify("--data-dir", join(dataDir, "nothing"))).toMatchObject({
    code: 4,
    error: expect.stringMatching(/^NOT_FOUND: /),
  });
});
