/** A site is backed up while it serves, lost, and restored: real processes, the command line as an operator uses it. */
import { randomInt } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { revision } from "@openclaw/core/ids.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { restoreBackup } from "@openclaw/edge-runtime/backup/restore.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { initCluster } from "@openclaw/edge-runtime/init.ts";
import { expect, test } from "vitest";
import { z } from "zod";
import { Background, openclaw, refusal, type Where } from "./command.ts";
import { startSite, temporaryFolder } from "./site.ts";

const TEST_MS = 400_000;
const WRITES = 100;
const RESTORES = 20;

const Hashed = z.object({ state: z.object({ content: z.object({ hash: z.string() }), revision: z.number() }) });
const base64 = (text: string): string => Buffer.from(text).toString("base64");

async function call(http: string, method: string, route: string, body?: unknown): Promise<unknown> {
  const headers = { "content-type": typeof body === "string" ? "application/octet-stream" : "application/json" };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${http}${route}`, { method, ...(body === undefined ? {} : { body: text, headers }) });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${method} ${route}: ${answer}`);
  return answer === "" ? null : JSON.parse(answer);
}

/** One write of a kind drawn: puts, transactions of several keys, leases with keys, documents, deletes of one and of many. */
async function write(http: string, at: number): Promise<void> {
  const key = `k/${randomInt(12)}`;
  const put = (name: string, lease: number | null = null) => ({
    op: "put",
    key: base64(name),
    value: base64(`v${at}`),
    lease,
  });
  switch (randomInt(8)) {
    case 0:
      await call(http, "POST", "/v1/leases", { ttlMs: 600_000, lease: 1_000 + at });
      await call(http, "POST", "/v1/txn", { success: [put(key, 1_000 + at), put(`${key}/held`, 1_000 + at)] });
      return;
    case 1:
      await call(http, "POST", "/v1/txn", {
        success: [put(`${key}/a`), put(`${key}/b`), { op: "deleteRange", key: base64(`${key}/c`) }],
      });
      return;
    case 2:
      await call(http, "DELETE", `/v1/kv/${encodeURIComponent(key)}`).catch(() => null);
      return;
    case 3:
      await call(http, "POST", "/v1/txn", {
        success: [{ op: "deleteRange", key: base64(`${key}/`), rangeEnd: base64(`${key}0`) }],
      });
      return;
    case 4:
    case 5: {
      const ops = [{ op: "put", path: [`field ${randomInt(5)}`], value: at }];
      await call(http, "POST", `/v1/docs/notes/${randomInt(3)}`, { ops });
      return;
    }
    default:
      await call(http, "PUT", `/v1/kv/${encodeURIComponent(key)}`, `value ${at}`);
  }
}

/** A configuration with a credential of the cluster's key, in epoch 1, that names the other node as a member. */
async function oldMember(folder: string, key: string, other: string): Promise<string> {
  const [h1 = 0, h2 = 0, p1 = 0, p2 = 0, w1 = 0, w2 = 0] = await freePorts(Array.from({ length: 6 }, () => null));
  const epoch = { counter: 1, nonce: "ab".repeat(16), parent: null, departure: revision(0) };
  const { nodes } = await initCluster({
    directory: path.join(folder, "old"),
    cluster: "shop",
    nodes: 2,
    host: "127.0.0.1",
    httpPorts: [h1, h2],
    p2pPorts: [p1, p2],
    wsPorts: [w1, w2],
    departed: { epoch, key, operatorKey: null },
  });
  const [first, second] = nodes;
  const theirs = (await loadConfig(other)).members[0];
  if (first === undefined || second === undefined || theirs === undefined) throw new Error("members");
  // It never ran here: only what was restored begins as a node that has.
  await fs.rm(path.join(path.dirname(second.config), "identity.key.started"));
  const text = await fs.readFile(second.config, "utf8");
  await fs.writeFile(
    second.config,
    text.replaceAll(first.peer, theirs.peer).replaceAll(`/tcp/${p1}`, `/tcp/${theirs.addresses[0]?.split("/")[4]}`),
  );
  return second.config;
}

test(
  "L3, T2: 20 random revisions are restored, each with the content hash that was recorded live",
  async () => {
    const [node] = await startSite(1);
    if (node === undefined) throw new Error("a node");
    const folder = await temporaryFolder();
    const where: Where = { cwd: folder, env: { OPENCLAW_ENDPOINT: node.http } };
    const live = new Map<number, string>();
    const backup = path.join(folder, "backup");
    // A continuous backup from the start, so that it sees leases which end again.
    const following = new Background(where, path.join(folder, "follow.log"), "backup", backup, "--follow");
    for (let at = 1; at <= WRITES; at++) {
      await write(node.http, at);
      const { state } = Hashed.parse(await call(node.http, "GET", "/v1/status?hash=true"));
      live.set(state.revision, state.content.hash);
    }
    await expect.poll(() => fs.readdir(backup), { timeout: 60_000 }).toContain("manifest.json");
    await following.terminate();
    await openclaw(where, "backup", backup);
    expect(await openclaw(where, "backup", "verify", backup)).toMatch(/every one of them is right/);

    const key = path.join(path.dirname(path.dirname(node.config)), "cluster.key");
    const revisions = [...live.keys()].filter((at) => at > 0);
    const [httpPort = 0, p2pPort = 0, wsPort = 0] = await freePorts([null, null, null]);
    for (let i = 0; i < RESTORES; i++) {
      const revision = revisions.splice(randomInt(revisions.length), 1)[0] ?? 0;
      const restored = await restoreBackup({
        backup,
        at: { kind: "revision", revision },
        directory: path.join(folder, `restored-${i}`),
        key,
        operatorKey: null,
        host: "127.0.0.1",
        httpPort,
        p2pPort,
        wsPort,
        progress: () => {},
      });
      expect(restored.contentHash, `revision ${revision}`).toBe(live.get(revision));
      expect(restored).toMatchObject({ revision, epoch: { counter: 2, departure: revision } });
    }
  },
  TEST_MS,
);

test(
  "K10, L3: a site that compacted is backed up from a base, and restored at revisions after it, with the hashes recorded live",
  async () => {
    const [node] = await startSite(1);
    if (node === undefined) throw new Error("a node");
    const folder = await temporaryFolder();
    const where: Where = { cwd: folder, env: { OPENCLAW_ENDPOINT: node.http } };
    const live = new Map<number, string>();
    const hashed = async (): Promise<number> => {
      const { state } = Hashed.parse(await call(node.http, "GET", "/v1/status?hash=true"));
      live.set(state.revision, state.content.hash);
      return state.revision;
    };
    let written = 0;
    const writing = async (count: number): Promise<void> => {
      for (const end = written + count; written < end; ) {
        await write(node.http, ++written);
        await hashed();
      }
    };
    await writing(40);
    await openclaw(where, "compact", String((await hashed()) - 2));
    // While it is written to: the base is of one revision all the same.
    const busy = writing(10);
    expect(await openclaw(where, "backup", "b")).toMatch(/^shop: revisions \d+ to \d+, /);
    await busy;
    const base = Number(
      (await fs.readdir(path.join(folder, "b"))).map((name) => /^base-(\d+)/.exec(name)?.[1]).find(Boolean),
    );
    await writing(20);
    await openclaw(where, "backup", "b");
    await openclaw(where, "backup", "b", "--full");
    await writing(10);
    await openclaw(where, "backup", "b");
    expect(await openclaw(where, "backup", "verify", "b")).toMatch(`revisions ${base} to ${await hashed()}, `);

    const key = path.join(path.dirname(path.dirname(node.config)), "cluster.key");
    const ports = (await freePorts([null, null, null])).map(String);
    const [http = "", p2p = "", ws = ""] = ports;
    const listen = ["--http-port", http, "--p2p-port", p2p, "--ws-port", ws];
    const restore = ["restore", "b", "--key", key, "--beside-live", ...listen];
    expect(await refusal(where, ...restore, "--at", String(base - 1), "--to", "early")).toMatch(
      new RegExp(`^BAD_REQUEST: .*holds revisions ${base} to \\d+, not ${base - 1}`),
    );
    const later = [...live.keys()].filter((at) => at >= base);
    for (let i = 0; i < 8; i++) {
      const at = later.splice(randomInt(later.length), 1)[0] ?? 0;
      const said = await openclaw(where, ...restore, "--at", String(at), "--to", `r${i}`);
      expect(said, `revision ${at}`).toContain(`content hash ${live.get(at)}`);
    }

    // What is before the newest base goes, and the latest revision is restored and serves: its history begins at the base.
    expect(await openclaw(where, "backup", "prune", "b")).toMatch(/files are gone/);
    const pruned = Number(/revisions (\d+) to/.exec(await openclaw(where, "backup", "verify", "b"))?.[1]);
    expect(pruned).toBeGreaterThan(base);
    const newest = await hashed();
    await node.process.kill();
    await openclaw(where, ...restore, "--to", "new");
    const log = path.join(folder, "log");
    const begun = new Background(where, log, "node", "start", "--config", "new/shop-1/config.yaml");
    await begun.says(/listens at/);
    const url = `http://127.0.0.1:${http}`;
    await openclaw(where, "status", "--wait", "60", "--endpoint", url);
    const { state } = Hashed.parse(await call(url, "GET", "/v1/status?hash=true"));
    expect([state.revision, state.content.hash]).toEqual([newest, live.get(newest)]);
    expect(await call(url, "GET", "/v1/status")).toMatchObject({ compacted: pruned, epochCounter: 2 });
    const past = await openclaw(where, "get", "k/1", "--revision", String(pruned - 1), "--endpoint", url).catch(String);
    expect(past).toMatch(/COMPACTED/);
    await openclaw(where, "ledger", "verify", "--from", String(pruned + 1), "--endpoint", url);
    await call(url, "PUT", "/v1/kv/k", "after");
    await openclaw(where, "compact", String(newest + 1), "--endpoint", url);
    await openclaw(where, "backup", "b2", "--endpoint", url);
    expect(await openclaw(where, "backup", "verify", "b2")).toMatch(/revisions \d+ to \d+/);
  },
  TEST_MS,
);

test(
  "L3, R10: a lost site comes back from its backup, serves, and takes in members; a live one is not restored over",
  async () => {
    const [node] = await startSite(1);
    if (node === undefined) throw new Error("a node");
    const folder = await temporaryFolder();
    const where: Where = { cwd: folder, env: { OPENCLAW_ENDPOINT: node.http } };
    const cluster = path.dirname(path.dirname(node.config));
    const key = path.join(cluster, "cluster.key");
    for (let at = 1; at <= 5; at++) await call(node.http, "PUT", "/v1/kv/k", `value ${at}`);
    await call(node.http, "POST", "/v1/leases", { ttlMs: 20_000, lease: 7 });
    const held = { op: "put", key: base64("lock"), value: base64("mine"), lease: 7 };
    await call(node.http, "POST", "/v1/txn", { success: [held] });
    await openclaw(where, "backup", "b");

    const ports = (await freePorts([null, null, null])).map(String);
    const [http = "", p2p = "", ws = ""] = ports;
    const listen = ["--http-port", http, "--p2p-port", p2p, "--ws-port", ws];
    const restore = ["restore", "b", "--key", key, "--to", "new", ...listen];
    expect(await refusal(where, ...restore)).toMatch(/^RESTORE_REFUSED: .*shop-1 of shop, epoch 1, still serves/);
    expect(
      await refusal(where, "restore", "b", "--key", key, "--to", path.dirname(node.config), "--beside-live"),
    ).toMatch(/^RESTORE_REFUSED: .* is not empty/);
    await node.process.kill();

    expect(await openclaw(where, "restore", "b", "--at", "3", "--dry-run")).toMatch(/shop at revision 3, stamped 2/);
    await expect(fs.access(path.join(folder, "new"))).rejects.toThrow();
    expect(await openclaw(where, ...restore)).toMatch(/content hash [0-9a-f]{64}, as it was recorded live; epoch 2/);
    expect(await refusal(where, ...restore)).toMatch(/^RESTORE_REFUSED: .*new is not empty/);
    const begun = new Background(
      where,
      path.join(folder, "log"),
      "node",
      "start",
      "--config",
      "new/shop-1/config.yaml",
    );
    await begun.says(/listens at/);
    const url = `http://127.0.0.1:${http}`;
    const at = ["--endpoint", url];
    await openclaw(where, "status", "--wait", "60", ...at);
    const read = async (name: string) => (await fetch(`${url}/v1/kv/${name}`)).text();
    expect(await read("k")).toBe("value 5");
    expect(await read("k?revision=3")).toBe("value 3");
    // K6: the lock is there, for as long as it may live, and then it is gone without anybody's doing.
    expect(await read("lock")).toBe("mine");
    await call(url, "PUT", "/v1/kv/k", "value 6");
    const gone = () => fetch(`${url}/v1/kv/lock`).then(({ status }) => status);
    await expect.poll(gone, { timeout: 60_000 }).toBe(404);

    const [h2 = "", p2 = "", w2 = ""] = (await freePorts([null, null, null])).map(String);
    const invited = await openclaw(where, "member", "invite", "--dir", "new", ...at);
    const token = /\bjoin (ocj_\S+)/.exec(invited)?.[1] ?? "";
    const more = ["--dir", "two", "--http-port", h2, "--p2p-port", p2, "--ws-port", w2];
    const second = new Background(where, path.join(folder, "two.log"), "join", token, ...more);
    await second.says(/listens at/);
    const local = async () => (await fetch(`http://127.0.0.1:${h2}/v1/kv/k?consistency=local`)).text();
    await expect.poll(local, { timeout: 60_000 }).toBe("value 6");
    const hashes = async (of: string) => Hashed.parse(await call(of, "GET", "/v1/status?hash=true")).state.content.hash;
    expect(await hashes(`http://127.0.0.1:${h2}`)).toBe(await hashes(url));

    // The new epoch is backed up into a folder of its own, from its first revision on.
    expect(await refusal(where, "backup", "b", ...at)).toMatch(/^WRONG_EPOCH: .*b is a backup of epoch 1/);
    await openclaw(where, "backup", "b2", ...at);
    expect(await openclaw(where, "backup", "verify", "b2")).toMatch(/revisions 1 to \d+/);

    // A member of the epoch that is over, which finds the restored node where it looks for another, stops itself.
    const old = await oldMember(folder, key, path.join(folder, "new/shop-1/config.yaml"));
    const stopped = new Background(where, path.join(folder, "old.log"), "node", "start", "--config", old);
    expect(await stopped.exited).toBe(1);
    expect(stopped.output).toMatch(/WRONG_EPOCH.*in epoch 2, this node in 1/s);
    expect(await openclaw(where, "get", "k", ...at)).toBe("value 6");
  },
  TEST_MS,
);
