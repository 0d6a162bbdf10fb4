import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "./node.ts";

const PROGRAM = fileURLToPath(new URL("../../../edge-runtime/cli/openclaw.ts", import.meta.url));
/** Nothing listens there: port 1 is reserved. */
const NOBODY = "http://127.0.0.1:1";

let node: TestNode;
let endpoint: string;
beforeAll(async () => {
  node = await startTestNode();
  endpoint = await node.listen();
});
afterAll(() => node.stop());

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

function start(args: readonly string[]) {
  const { OPENCLAW_ENDPOINT: _, OPENCLAW_TOKEN: __, ...env } = process.env;
  const child = spawn(process.execPath, [PROGRAM, ...args], { env, stdio: "pipe" });
  const text = { out: "", error: "" };
  child.stdout.on("data", (chunk) => {
    text.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    text.error += chunk;
  });
  const ended = once(child, "close").then(([code]): Ended => ({ code, ...text }));
  return { child, text, ended };
}

async function openclaw(args: readonly string[], input = ""): Promise<Ended> {
  const { child, ended } = start(args);
  child.stdin.end(input);
  return ended;
}
const at = (...args: string[]) => [...args, "--endpoint", endpoint];

describe("the command line", () => {
  test("puts, gets, lists and deletes; a value may come from standard input, a key may be anything", async () => {
    expect(JSON.parse((await openclaw(at("put", "till/1", "open"))).out)).toMatchObject({ cluster: "california" });
    expect(await openclaw(at("get", "till/1"))).toMatchObject({ code: 0, out: "open", error: "" });
    await openclaw(at("put", "../größe ?#", "-"), "piped");
    expect((await openclaw(at("get", "../größe ?#"))).out).toBe("piped");
    expect(JSON.parse((await openclaw(at("list", "till/"))).out)).toMatchObject({ key: "till/1", text: "open" });
    expect((await openclaw(at("delete", "till/1"))).code).toBe(0);
    expect(await openclaw(at("get", "till/1"))).toMatchObject({
      code: 4,
      error: expect.stringMatching(/^NOT_FOUND: /),
    });
  });

  test("tells what was: a key and a list at a revision, and a key's history", async () => {
    const { revision } = JSON.parse((await openclaw(at("put", "door", "open"))).out);
    await openclaw(at("put", "door", "shut"));
    await openclaw(at("delete", "door"));
    expect((await openclaw(at("get", "door", "--revision", String(revision)))).out).toBe("open");
    const list = await openclaw(at("list", "door", "--revision", String(revision + 1)));
    expect(JSON.parse(list.out)).toMatchObject({ key: "door", text: "shut" });
    const history = await openclaw(at("history", "door", "--limit", "2"));
    expect(history.out).toMatch(
      new RegExp(`^${revision + 2} \\S+Z anonymous delete\n${revision + 1} \\S+Z anonymous put shut\n$`),
    );
    expect(history.error).toBe(`there is more; go on with --before ${revision + 1}\n`);
    const rest = await openclaw(at("history", "door", "--before", String(revision + 1), "--json"));
    expect(JSON.parse(rest.out)).toMatchObject({ revision, deleted: false, text: "open" });
    expect((await openclaw(at("get", "door", "--revision", "999999"))).error).toMatch(/^REVISION_AHEAD: /);
  });

  test("tells a failure as CODE: message with a next step, and says by its exit code whether to retry", async () => {
    await openclaw(at("put", "cas", "1"));
    const compare = await openclaw(at("put", "cas", "2", "--expected", "0"));
    expect(compare.code).toBe(1);
    expect(compare.error).toMatch(/^COMPARE_FAILED: .+\n {2}.+openclaw get/);
    const alone = await openclaw(["get", "x", "--endpoint", NOBODY]);
    expect(alone.code).toBe(3);
    expect(alone.error).toMatch(/^UNAVAILABLE: no node can be reached/);
    expect((await openclaw(["get"])).code).toBe(2);
    expect((await openclaw(["nonsense"])).code).toBe(2);
    expect((await openclaw(at("put", "x", "y", "--expected", "soon"))).code).toBe(2);
    expect((await openclaw(["get", "x", "--endpoint", "nonsense"])).error).toMatch(
      /^BAD_REQUEST: .*nonsense is no endpoint/,
    );
  });

  test("tries the next endpoint when one cannot be reached, for writes too", async () => {
    const ends = ["--endpoint", NOBODY, "--endpoint", endpoint];
    expect((await openclaw(["put", "next", "1", ...ends])).code).toBe(0);
    expect((await openclaw(["get", "next", "--endpoint", `${NOBODY},${endpoint}`])).out).toBe("1");
  });

  test("watches from a revision until it is interrupted", async () => {
    const first = await node.put("watched/a", "1");
    const { child, text, ended } = start(at("watch", "watched/", "--from", String(first)));
    await expect.poll(() => text.out, { timeout: 10_000 }).toBe(`${first} put watched/a 1\n`);
    await openclaw(at("delete", "watched/a"));
    await expect.poll(() => text.out).toMatch(/\d+ delete watched\/a\n$/);
    child.kill("SIGINT");
    expect((await ended).code).toBe(0);
  });

  test("a watch that a node refuses ends with its code", async () => {
    expect(await openclaw(at("watch", "x", "--origin", "No Such"))).toMatchObject({
      code: 1,
      error: expect.stringContaining("BAD_REQUEST"),
    });
  });

  test("shows the status for people and for programs", async () => {
    const { out } = await openclaw(at("status", "--hash"));
    expect(out).toContain("cluster california, asked california-1 (leader)");
    expect(out).toMatch(/state hash [0-9a-f]{64}/);
    expect(JSON.parse((await openclaw(at("status", "--json"))).out)).toMatchObject({ node: "california-1" });
  });

  // Eleven processes, each from its sources.
  test("has help with examples on everything", { timeout: 120_000 }, async () => {
    const names = ["init", "site", "sync", "put", "get", "delete", "list", "watch", "status"];
    const helps = await Promise.all(
      [[], ...names.map((name) => [name]), ["node", "start"]].map((args) => openclaw([...args, "--help"])),
    );
    for (const { code, out } of helps) {
      expect(code).toBe(0);
      expect(out).toContain("Examples:");
    }
  });
});
