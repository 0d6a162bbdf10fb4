/** An operator grows a site from one node, loses a box, replaces it, removes one: real processes on loopback. */
import fs from "node:fs/promises";
import path from "node:path";
import { freePorts } from "@openclaw/demo/ports.ts";
import { expect, test } from "vitest";
import { Background, openclaw, refusal, type Where } from "./command.ts";
import { temporaryFolder } from "./site.ts";

const TEST_MS = 240_000;

interface Box {
  readonly ports: readonly string[];
  readonly http: string;
}

async function boxes(count: number): Promise<readonly Box[]> {
  const ports = await freePorts(Array.from({ length: 3 * count }, () => null));
  return Array.from({ length: count }, (_, at) => {
    const [http = 0, p2p = 0, ws = 0] = ports.slice(3 * at, 3 * at + 3);
    const options = ["--http-port", `${http}`, "--p2p-port", `${p2p}`, "--ws-port", `${ws}`];
    return { ports: options, http: `http://127.0.0.1:${http}` };
  });
}

const tokenIn = (line: string): string => /\bjoin (ocj_\S+)/.exec(line)?.[1] ?? `no token in ${line}`;
const at = (box: Box): readonly string[] => ["--endpoint", box.http];

/** Over HTTP: a process for each look would be most of this test's work. */
async function ask(box: Box, method: string, route: string, body?: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`${box.http}${route}`, { method, ...(body === undefined ? {} : { body }) });
  return { status: response.status, text: await response.text() };
}

/** Roles by node, as that box tells them. */
async function roles(box: Box): Promise<Record<string, string>> {
  const answer: { members: { node: string; role: string }[] } = JSON.parse((await ask(box, "GET", "/v1/members")).text);
  return Object.fromEntries(answer.members.map(({ node, role }) => [node, role]));
}

/** The code with which a box refuses to read what it has itself. */
async function localRead(box: Box): Promise<string> {
  const { status, text } = await ask(box, "GET", "/v1/kv/k0?consistency=local");
  return status === 200 ? "served" : JSON.parse(text).code;
}

test(
  "R1, R10: a site grows to three, loses a node, replaces it, removes one, and every write is there",
  async () => {
    const folder = await temporaryFolder();
    const where: Where = { cwd: folder };
    const [one, two, three, four] = await boxes(4);
    if (one === undefined || two === undefined || three === undefined || four === undefined) throw new Error("four");
    const start = (name: string, ...args: readonly string[]) =>
      new Background(where, path.join(folder, `${name}.log`), ...args);
    const writes: string[] = [];
    const put = async (box: Box): Promise<void> => {
      const key = `k${writes.length}`;
      expect(await ask(box, "PUT", `/v1/kv/${key}`, "v")).toMatchObject({ status: 200 });
      writes.push(key);
    };

    const printed = await openclaw(where, "init", "--cluster", "shop", "--nodes", "1", ...one.ports);
    const lines = printed.split("\n").filter((line) => line.includes("join ocj_"));
    expect(lines).toHaveLength(2);
    start("one", "node", "start", "--config", "shop/shop-1/config.yaml");
    await openclaw(where, "status", "--wait", "60", ...at(one));
    await put(one);

    const second = start("two", "join", tokenIn(lines[0] ?? ""), "--dir", "two", ...two.ports);
    await second.says(/shop-2 of shop listens/);
    await expect.poll(() => roles(one), { timeout: 60_000 }).toEqual({ "shop-1": "voter", "shop-2": "voter" });
    expect(await openclaw(where, "member", "list", ...at(one))).toContain("quorum of two");
    await put(two);
    const third = start("three", "join", tokenIn(lines[1] ?? ""), "--dir", "three", ...three.ports);
    await third.says(/shop-3 of shop listens/);
    await expect.poll(() => roles(two), { timeout: 60_000 }).toMatchObject({ "shop-3": "voter" });
    await put(three);

    // One use: whoever comes second with the same token has another key.
    const again = await refusal(where, "join", tokenIn(lines[1] ?? ""), "--dir", "thief", "--no-start", ...four.ports);
    expect(again).toMatch(/^TOKEN_USED: .*shop-3/);

    await second.kill();
    await put(one);
    const line = await openclaw(where, "member", "replace", "shop-2", "--dir", "shop", ...at(one));
    const fourth = start("four", "join", tokenIn(line), "--dir", "four", ...four.ports);
    await fourth.says(/shop-4 of shop listens/);
    const replaced = { "shop-1": "voter", "shop-3": "voter", "shop-4": "voter" };
    await expect.poll(() => roles(four), { timeout: 60_000 }).toEqual(replaced);
    await put(four);

    await openclaw(where, "move-leader", "shop-4", ...at(one));
    expect(JSON.parse(await openclaw(where, "member", "list", "--json", ...at(four)))).toMatchObject({
      leader: "shop-4",
    });
    await put(one);

    // The replaced node comes back from its power cut, hears that it is out, and serves nobody.
    start("two-again", "node", "start", "--config", "two/config.yaml");
    await expect.poll(() => localRead(two).catch(String), { timeout: 60_000 }).toBe("REMOVED");
    expect(await openclaw(where, "status", ...at(two))).toContain("was removed from its cluster");

    await openclaw(where, "member", "remove", "shop-3", ...at(one));
    expect(await roles(one)).toEqual({ "shop-1": "voter", "shop-4": "voter" });
    await expect.poll(() => localRead(three), { timeout: 60_000 }).toBe("REMOVED");
    expect(JSON.parse((await ask(three, "PUT", "/v1/kv/x", "y")).text)).toMatchObject({ code: "REMOVED" });
    // It knows that also after a restart.
    expect(await third.terminate()).toBe(0);
    const restarted = start("three-again", "node", "start", "--config", "three/config.yaml");
    await restarted.says(/was removed from its cluster/);
    await restarted.says(/listens at/);
    expect(await localRead(three)).toBe("REMOVED");
    await put(four);

    for (const box of [one, four]) {
      for (const key of writes) expect(await ask(box, "GET", `/v1/kv/${key}`)).toEqual({ status: 200, text: "v" });
    }
  },
  TEST_MS,
);

test(
  "R5: a node whose data is gone does not come back under its name; its successor does",
  async () => {
    const folder = await temporaryFolder();
    const where: Where = { cwd: folder };
    const [one] = await boxes(1);
    if (one === undefined) throw new Error("one");
    await openclaw(where, "init", "--cluster", "shop", "--nodes", "1", ...one.ports);
    const args = ["node", "start", "--config", "shop/shop-1/config.yaml"] as const;
    const first = new Background(where, path.join(folder, "log"), ...args);
    await openclaw(where, "status", "--wait", "60", ...at(one));
    expect(await first.terminate()).toBe(0);
    await fs.rename(path.join(folder, "shop/shop-1/data"), path.join(folder, "kept"));
    expect(await refusal(where, ...args)).toMatch(/^DATA_MISSING: .*shop-1/);
    await fs.rm(path.join(folder, "shop/shop-1/data"), { recursive: true, force: true });
    await fs.rename(path.join(folder, "kept"), path.join(folder, "shop/shop-1/data"));
    const second = new Background(where, path.join(folder, "log-2"), ...args);
    await second.says(/listens at/);
  },
  TEST_MS,
);
