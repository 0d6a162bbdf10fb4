/** What the nemesis's clients write down, against nodes that lie. */
import http from "node:http";
import { afterEach, expect, test } from "vitest";
import { KeyValueClient } from "../../nemesis/key-value-client.ts";
import { lastWords } from "../../nemesis/node-logs.ts";
import { Observations } from "../../nemesis/observations.ts";
import { Registers } from "../../nemesis/registers.ts";
import { UniqueKeys } from "../../nemesis/unique-keys.ts";
import { judgeHistory } from "../../nemesis/verdict.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";

const servers: http.Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.closeAllConnections();
});

/** A node of one process with a map for a state; `forgets` answers a put without keeping it now and then. */
async function node(forgets: (put: number) => boolean): Promise<KeyValueClient> {
  const rows = new Map<string, { readonly value: string; readonly revision: number }>();
  let revision = 0;
  let puts = 0;
  const answer = (request: http.IncomingMessage, response: http.ServerResponse, body: string): void => {
    const { pathname: key, searchParams } = new URL(request.url ?? "", "http://node");
    const row = rows.get(key);
    const fail = (status: number, code: string): void => void response.writeHead(status).end(JSON.stringify({ code }));
    if (request.method === "GET") {
      if (row === undefined) return fail(404, "NOT_FOUND");
      response.writeHead(200, { "x-openclaw-mod-revision": row.revision }).end(row.value);
      return;
    }
    if (request.method === "DELETE") {
      if (!rows.delete(key)) return fail(404, "NOT_FOUND");
    } else {
      const expected = searchParams.get("expected");
      if (expected !== null && Number(expected) !== (row?.revision ?? 0)) return fail(412, "COMPARE_FAILED");
      if (!forgets(++puts)) rows.set(key, { value: body, revision: revision + 1 });
    }
    response.end(JSON.stringify({ revision: ++revision }));
  };
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    answer(request, response, Buffer.concat(chunks).toString());
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a listening server has a port");
  return new KeyValueClient(`http://127.0.0.1:${address.port}`, "token");
}

async function history(client: KeyValueClient, steps: number, processes: readonly number[]): Promise<Registers> {
  const registers = new Registers(new SeededRandom(5), new Observations());
  const loop = async (process: number): Promise<void> => {
    for (let i = 0; i < steps; i++) expect(await registers.step(process, client)).toBe(true);
  };
  await Promise.all(processes.map(loop));
  return registers;
}

test("clients of an honest node write down a linearizable history of every kind of operation", async () => {
  const { recorder } = await history(await node(() => false), 150, [0, 1, 2]);
  expect(judgeHistory(recorder.operations())).toEqual({ linearizable: true, findings: [] });
  const seen = new Set(recorder.operations().map(({ call, outcome }) => `${call.kind} ${outcome.kind}`));
  expect([...seen].sort()).toEqual(["cas differed", "cas ok", "delete ok", "get saw", "put ok"]);
});

test("a forgotten write is found", async () => {
  // One process: who reads what was forgotten follows from the seed alone, and not from the machine's load.
  const { recorder } = await history(await node((put) => put % 20 === 0), 300, [0]);
  const { linearizable, findings } = judgeHistory(recorder.operations());
  expect(linearizable).toBe(false);
  expect(findings[0]).toBe("the history is not linearizable");
});

test("a unique key that was acknowledged and is not there is lost; one that changed is, too", async () => {
  const client = await node((put) => put === 2);
  const uniqueKeys = new UniqueKeys(new Observations());
  for (let i = 0; i < 3; i++) expect(await uniqueKeys.put(client)).toBe(true);
  const stored = new Map([
    ["unique-1", { value: "unique-1", revision: 1 }],
    ["unique-3", { value: "unique-3", revision: 4 }],
  ]);
  expect(uniqueKeys.missing(stored)).toEqual([
    "unique-2, acknowledged at revision 2, is not there",
    "unique-3, acknowledged at revision 3, is at 4 with value unique-3",
  ]);
});

test("a request that nobody got did not happen; one that was not answered may have", async () => {
  const gone = await node(() => false);
  await new Promise((resolve) => servers.pop()?.close(resolve));
  expect(await gone.put("key", "value")).toEqual({ kind: "unsent", code: "ECONNREFUSED" });

  const breaking = http.createServer((request) => request.socket.destroy());
  servers.push(breaking);
  await new Promise<void>((resolve) => breaking.listen(0, "127.0.0.1", resolve));
  const address = breaking.address();
  const port = typeof address === "object" ? address?.port : undefined;
  expect(await new KeyValueClient(`http://127.0.0.1:${port}`, "").put("key", "value")).toMatchObject({
    kind: "unknown",
  });
});

test("what a node died of is told from its log, unless its disk refused a write", () => {
  const log = [
    '{"level":60,"err":{"type":"OpenClawError"},"msg":"stopping"}',
    "nemesis-1 of nemesis listens at http://127.0.0.1:1",
    "STORAGE_FULL: the disk, or the budget for it, is full; make room, then retry (writing the log)",
    "  docs/errors.md says more about STORAGE_FULL.",
    "INTERNAL: an unexpected error",
    "TypeError [ERR_ARG]: x",
    "    at TypeError: x",
    "DATA_CORRUPT: stored data failed its check",
  ];
  expect(lastWords(log.join("\n"))).toEqual([log[4], log[5], log[7]]);
});

test("the longest gap between acknowledged writes counts the one that has not ended, and no read", () => {
  let now = 0;
  const observations = new Observations(() => now);
  const addAt = (at: number, ending: "ok" | "unknown", isWrite: boolean): void => {
    now = at;
    observations.add(at, ending, isWrite);
  };
  addAt(10, "ok", true);
  addAt(40, "ok", true);
  addAt(50, "ok", false);
  addAt(60, "unknown", true);
  expect(observations.maxWriteGapMs).toBe(30);
  now = 90;
  expect(observations.maxWriteGapMs).toBe(50);
  expect(observations.acknowledged).toBe(2);
});
