import fs from "node:fs/promises";
import path from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import {
  BACKUP_FORMAT,
  loadManifest,
  manifestText,
  parseManifest,
  requireManifest,
} from "@openclaw/edge-runtime/backup/manifest.ts";
import { backupRecords, verifyBackup } from "@openclaw/edge-runtime/backup/verify.ts";
import { lockFolder } from "@openclaw/edge-runtime/storage/data-lock.ts";
import { describe, expect, test } from "vitest";
import { CLUSTER, EPOCH } from "../api/node.ts";
import { back, but, folder, held, leaseId, serving } from "./fixture.ts";

const refusedWith = (code: string, details?: RegExp) =>
  expect.objectContaining({ code, ...(details === undefined ? {} : { details: expect.stringMatching(details) }) });

const EPOCH_OF_NODES = { cluster: CLUSTER, epoch: EPOCH };

const ledgers = async (into: string): Promise<readonly string[]> =>
  (await fs.readdir(into)).filter((name) => name.startsWith("ledger-")).sort();

describe("a backup", () => {
  test("holds the ledger, goes on where it ended, and records the live content", async () => {
    const { node, source } = await serving();
    const into = await folder();
    expect(await back(source, into)).toMatchObject({ first: null, last: null, added: 0 });
    for (let i = 1; i <= 5; i++) await node.put("k", `${i}`);
    expect(await back(source, into)).toMatchObject({ cluster: "california", first: 1, last: 5, added: 5 });
    expect(await ledgers(into)).toEqual(["ledger-0000000000000001-0000000000000005"]);
    for (let i = 6; i <= 7; i++) await node.put("k", `${i}`);
    expect(await back(source, into)).toMatchObject({ first: 1, last: 7, added: 2 });
    // The segment grew: under a new name, and the old one is gone.
    expect(await ledgers(into)).toEqual(["ledger-0000000000000001-0000000000000007"]);
    expect(await verifyBackup(into)).toMatchObject({ first: 1, last: 7, records: 7 });
    const { live } = await requireManifest(into);
    expect(live.map(({ revision }) => revision)).toEqual([5, 7]);
    const { content, position } = await node.replica.read({ kind: "stateHash" });
    expect(live[1]).toEqual({
      revision: 7,
      contentHash: Buffer.from(content.hash).toString("hex"),
      ledgerHash: Buffer.from(position.hash).toString("hex"),
    });
  });

  test("closes a segment at 8 MiB, and goes on in the next one", async () => {
    const { node, source } = await serving();
    const into = await folder();
    for (let i = 0; i < 10; i++) await node.put("k", new Uint8Array(1_000_000));
    await back(source, into);
    await node.put("k", "x");
    await back(source, into);
    expect(await ledgers(into)).toHaveLength(2);
    expect(await verifyBackup(into)).toMatchObject({ first: 1, last: 11 });
  });

  test("K6: notes how long the leases live that the node still has", async () => {
    const { source, run } = await serving();
    const into = await folder();
    for (const lease of [7, 8]) await run({ kind: "leaseGrant", lease: leaseId(lease), ttlMs: 60_000 + lease });
    await run(held("a", "1", 7));
    await run(held("b", "1", 8));
    await run({ kind: "leaseRevoke", lease: leaseId(8) });
    await back(source, into);
    expect((await requireManifest(into)).leases).toEqual([{ lease: 7, ttlMs: 60_007 }]);
  });

  test("goes on while it follows, and after a run that was cut off", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await node.put("k", "1");
    const stop = new AbortController();
    const following = back(source, into, { follow: true, signal: stop.signal });
    // The hash of the content is recorded when all of the rest is there: from now on it follows.
    await expect.poll(async () => (await loadManifest(into))?.live, { timeout: 10_000 }).toHaveLength(1);
    await node.put("k", "2");
    await expect.poll(() => ledgers(into), { timeout: 10_000 }).toEqual(["ledger-0000000000000001-0000000000000002"]);
    stop.abort();
    expect(await following).toMatchObject({ last: 2 });
    // What a crash between the steps leaves: a half-written file, and a segment that no manifest names.
    await fs.writeFile(path.join(into, "manifest.json.tmp"), "{");
    await fs.writeFile(path.join(into, "ledger-0000000000000001-0000000000000003"), "");
    await node.put("k", "3");
    expect(await back(source, into)).toMatchObject({ last: 3, added: 1 });
    expect((await fs.readdir(into)).sort()).toEqual([
      "backup.lock",
      "ledger-0000000000000001-0000000000000003",
      "manifest.json",
    ]);
    expect(await verifyBackup(into)).toMatchObject({ last: 3 });
  });

  test("touches no file that is not its own, and does not take segments without a manifest for leftovers", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await fs.mkdir(into);
    await fs.writeFile(path.join(into, "letter.tmp"), "mine");
    await node.put("k", "1");
    await back(source, into);
    await fs.rm(path.join(into, "manifest.json"));
    await expect(back(source, into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /ledger-\S+1, but no manifest/));
    expect(await ledgers(into)).toHaveLength(1);
    expect(await fs.readFile(path.join(into, "letter.tmp"), "utf8")).toBe("mine");
  });

  test("R9: that follows notes the apply version and the members of what it took, not those it began with", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await node.put("k", "1");
    let [applyVersion, members] = [1, ["http://10.0.0.1:8101"]];
    const raised = but(source, { standing: async () => ({ ...(await source.standing()), applyVersion, members }) });
    const stop = new AbortController();
    const following = back(raised, into, { follow: true, signal: stop.signal });
    await expect.poll(async () => (await loadManifest(into))?.live, { timeout: 10_000 }).toHaveLength(1);
    [applyVersion, members] = [2, ["http://10.0.0.1:8101", "http://10.0.0.2:8101"]];
    await expect.poll(async () => (await loadManifest(into))?.members, { timeout: 10_000 }).toEqual(members);
    expect((await requireManifest(into)).applyVersion).toBe(2);
    stop.abort();
    await following;
  });

  test("records no hash that is of another ledger than its own", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await node.put("k", "1");
    const lying = but(source, {
      content: async () => ({ ...(await source.content(EPOCH_OF_NODES)), ledgerHash: "0".repeat(64) }),
    });
    await expect(back(lying, into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /revision 1: .*hash/));
    expect((await requireManifest(into)).live).toEqual([]);
    expect(await verifyBackup(into)).toMatchObject({ last: 1 });
    await expect(source.content({ ...EPOCH_OF_NODES, cluster: "alaska" as ClusterId })).rejects.toEqual(
      refusedWith("WRONG_CLUSTER"),
    );
  });

  test("that is ended before it has everything says so, and keeps what it has", async () => {
    const { node, source } = await serving();
    const into = await folder();
    for (let i = 0; i < 3; i++) await node.put("k", new Uint8Array(1_048_576));
    const stop = new AbortController();
    const cut = await back(source, into, { signal: stop.signal, progress: () => stop.abort() });
    expect(cut).toMatchObject({ complete: false, last: 1 });
    expect(await verifyBackup(into)).toMatchObject({ last: 1 });
    expect((await requireManifest(into)).live).toEqual([]);
    expect(await back(source, into)).toMatchObject({ complete: true, last: 3 });
  });

  test("keeps what it took when the node fails it, and asks again for the leases of what it did not", async () => {
    const { source, run } = await serving();
    const into = await folder();
    await run({ kind: "leaseGrant", lease: leaseId(7), ttlMs: 60_007 });
    await run(held("a", "x".repeat(1_048_576), null));
    await run(held("b", "1", 7));
    const failing = but(source, { timeToLive: () => Promise.reject(new OpenClawError("UNAVAILABLE")) });
    await expect(back(failing, into)).rejects.toEqual(refusedWith("UNAVAILABLE"));
    expect(await verifyBackup(into)).toMatchObject({ last: 1 });
    await back(source, into);
    expect((await requireManifest(into)).leases).toEqual([{ lease: 7, ttlMs: 60_007 }]);
  });

  test("is verified while it goes on: its last segment gets another name", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await node.put("k", "1");
    await back(source, into);
    const before = await requireManifest(into);
    await node.put("k", "2");
    await back(source, into);
    const seen: number[] = [];
    for await (const { revision } of backupRecords(into, before)) seen.push(revision);
    expect(seen).toEqual([1, 2]);
  });

  test("ends where a majority says that the ledger does, not where the node that is asked is", async () => {
    const { node, source } = await serving({
      replica: (replica) =>
        new Proxy(replica, {
          get: (target, name) => {
            if (name === "barrier") return () => Promise.reject(new OpenClawError("UNAVAILABLE", "no majority"));
            const value: unknown = Reflect.get(target, name);
            return typeof value === "function" ? value.bind(target) : value;
          },
        }),
    });
    const into = await folder();
    await node.put("k", "1");
    await expect(back(source, into)).rejects.toEqual(refusedWith("UNAVAILABLE"));
    expect(await verifyBackup(into)).toMatchObject({ last: 1 });
  });

  test("has one writer, and is of one cluster and one epoch", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await node.put("k", "1");
    await back(source, into);
    const unlock = lockFolder(path.join(into, "backup.lock"));
    await expect(back(source, into)).rejects.toEqual(refusedWith("DATA_IN_USE"));
    unlock();
    const manifest = await requireManifest(into);
    const file = path.join(into, "manifest.json");
    await fs.writeFile(file, manifestText({ ...manifest, epoch: { ...manifest.epoch, nonce: "e".repeat(32) } }));
    await expect(back(source, into)).rejects.toEqual(refusedWith("WRONG_EPOCH", /backup of epoch 1/));
    const alaska = JSON.parse(JSON.stringify(manifest).replace("california", "alaska"));
    await fs.writeFile(file, manifestText(alaska));
    await expect(back(source, into)).rejects.toEqual(refusedWith("WRONG_CLUSTER", /a backup of alaska/));
  });

  test("X1: of a newer version, cut off, or no backup at all, is refused by name", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await fs.mkdir(into);
    await expect(verifyBackup(into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /has no manifest.json/));
    await node.put("k", "1");
    await node.put("k", "2");
    await back(source, into);
    const manifest = await requireManifest(into);
    const newer = manifestText(JSON.parse(JSON.stringify({ ...manifest, version: BACKUP_FORMAT + 1 })));
    expect(() => parseManifest(newer)).toThrow(
      refusedWith("UNKNOWN_VERSION", new RegExp(`version ${BACKUP_FORMAT + 1}, .* reads version ${BACKUP_FORMAT}`)),
    );
    expect(() => parseManifest("[]")).toThrow(refusedWith("BACKUP_INVALID", /not of a backup/));
    const [segment = ""] = await ledgers(into);
    await fs.truncate(path.join(into, segment), (await fs.stat(path.join(into, segment))).size - 1);
    await expect(verifyBackup(into)).rejects.toEqual(
      refusedWith("BACKUP_INVALID", /^ledger-\S+: revision 2: .*cut off/),
    );
    await fs.rm(path.join(into, segment));
    await expect(verifyBackup(into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /^ledger-\S+ is missing/));
  });

  test("L2: a node whose ledger does not follow is refused at the revision", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await node.put("k", "1");
    await node.put("k", "2");
    const other = await serving();
    await back(source, into);
    for (const value of ["1", "2", "3"]) await other.node.put("k", value);
    await expect(back(other.source, into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /node's ledger: revision 3/));
    expect(await verifyBackup(into)).toMatchObject({ last: 2 });
  });
});

test("a byte that is flipped anywhere is found, and its file and revision are named", async () => {
  const { node, source } = await serving();
  const into = await folder();
  for (let i = 1; i <= 12; i++) await node.put(`key ${i}`, `value ${i}`);
  await back(source, into);
  const places = new Map<string, number[]>();
  for (const name of ["manifest.json", ...(await ledgers(into))]) {
    const file = path.join(into, name);
    const whole = await fs.readFile(file);
    for (let at = 0; at < whole.length; at += 3) {
      for (const mask of [0x01, 0x80]) {
        const altered = Buffer.from(whole);
        altered[at] = (altered[at] ?? 0) ^ mask;
        await fs.writeFile(file, altered);
        const error: unknown = await verifyBackup(into).then(
          () => new Error(`${name}: a flip at ${at} was not seen`),
          (failure: unknown) => failure,
        );
        if (!(error instanceof OpenClawError)) throw error;
        expect(error.code === "UNKNOWN_VERSION" || error.details.startsWith(name), `${at}: ${error.message}`).toBe(
          true,
        );
        const named = /revision (\d+)/.exec(error.details)?.[1];
        if (name !== "manifest.json") places.set(name, [...(places.get(name) ?? []), Number(named)]);
      }
    }
    await fs.writeFile(file, whole);
  }
  await verifyBackup(into);
  // The further on in the file, the later the revision that is named.
  for (const named of places.values()) {
    expect(named).toEqual([...named].sort((a, b) => a - b));
    expect(new Set(named)).toEqual(new Set(Array.from({ length: 12 }, (_, i) => i + 1)));
  }
});

test("of a ledger that was compacted, a run says what it lacks, and keeps what it has", async () => {
  let compacted = false;
  const { node, source } = await serving({
    replica: (replica) =>
      new Proxy(replica, {
        get: (target, name) => {
          if (compacted && name === "ledger")
            return () => Promise.reject(new OpenClawError("COMPACTED", "kept from 9"));
          const value: unknown = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      }),
  });
  const into = await folder();
  await node.put("k", "1");
  await back(source, into);
  compacted = true;
  await expect(back(source, into)).rejects.toEqual(
    refusedWith("COMPACTED", /needs revision 2 next; --full .*kept from 9/),
  );
  expect(await verifyBackup(into)).toMatchObject({ last: 1 });
});
