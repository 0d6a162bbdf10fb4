import { cpSync, readdirSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import { encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { manifestText, requireManifest } from "@openclaw/edge-runtime/backup/manifest.ts";
import { type At, momentOf, parseAt } from "@openclaw/edge-runtime/backup/moment.ts";
import { type RestorePlan, restoreBackup } from "@openclaw/edge-runtime/backup/restore.ts";
import { requireGone } from "@openclaw/edge-runtime/backup/still-serving.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { ClusterKey } from "@openclaw/edge-runtime/network/identity.ts";
import { requireOwnData } from "@openclaw/edge-runtime/started.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { describe, expect, test } from "vitest";
import { hexed } from "../state-machine/one-cluster.ts";
import { back, folder, held, leaseId, serving } from "./fixture.ts";

const refusedWith = (code: string, details: RegExp) =>
  expect.objectContaining({ code, details: expect.stringMatching(details) });

async function* stamped(...times: readonly number[]): AsyncGenerator<StoredRecord> {
  for (const [i, time] of times.entries()) {
    const at = revision(i + 1);
    const record = encodeRecord({
      ...{
        partition: 0,
        revision: at,
        time,
        principal: "ana",
        origin: null,
        link: null,
        salt: new Uint8Array(16),
        home: "site",
      },
      events: [{ kind: "delete", key: utf8("k") }],
    });
    yield { revision: at, record, hash: new Uint8Array(32) };
  }
}

describe("T2: a restore at a time", () => {
  const atTime = (time: number): At => ({ kind: "time", time });

  test("takes the last revision stamped at or before it", async () => {
    expect(await momentOf(atTime(20), stamped(10, 20, 20, 30))).toEqual({ revision: 3, time: 20, ambiguous: null });
    expect(await momentOf(atTime(99), stamped(10, 20))).toMatchObject({ revision: 2 });
    expect(await momentOf({ kind: "latest" }, stamped(10, 5))).toMatchObject({ revision: 2, time: 5 });
  });

  test("says when that is ambiguous: revisions before it are stamped later", async () => {
    expect(await momentOf(atTime(20), stamped(10, 50, 60, 20, 70))).toEqual({
      ...{ revision: 4, time: 20, ambiguous: { count: 2, first: 2, last: 3 } },
    });
    // Those after it are not in what is restored.
    expect(await momentOf(atTime(20), stamped(10, 20, 50))).toMatchObject({ ambiguous: null });
  });

  test("refuses a time before the first event, and what is in no backup", async () => {
    await expect(momentOf(atTime(9), stamped(10, 20))).rejects.toEqual(
      refusedWith("BAD_REQUEST", /first event, of 1970/),
    );
    await expect(momentOf(atTime(9), stamped())).rejects.toEqual(refusedWith("BAD_REQUEST", /no revision yet/));
    for (const at of [0, 3])
      await expect(momentOf({ kind: "revision", revision: at }, stamped(10, 20))).rejects.toEqual(
        refusedWith("BAD_REQUEST", /revisions up to \d, not/),
      );
    for (const text of [
      "",
      "yesterday",
      "-1",
      "1e3",
      "2026-99-99",
      "99999999999999999",
      "2026-03-01T12:00:00",
      "2026-03-01 PST",
    ])
      expect(() => parseAt(text), text).toThrow(refusedWith("BAD_REQUEST", /no revision and no time/));
    expect(parseAt("2026-03-01T12:00:00Z")).toEqual({ kind: "time", time: Date.UTC(2026, 2, 1, 12) });
    expect(parseAt("47")).toEqual({ kind: "revision", revision: 47 });
  });
});

async function restoring(backup: string, changes: Partial<RestorePlan> = {}) {
  const key = path.join(path.dirname(backup), "cluster.key");
  await fs.access(key).catch(() => ClusterKey.create(key));
  return restoreBackup({
    ...{ backup, at: { kind: "latest" }, directory: path.join(path.dirname(backup), "new"), key, operatorKey: null },
    ...{ host: "127.0.0.1", httpPort: 1, p2pPort: 2, wsPort: 3, progress: () => {} },
    ...changes,
  });
}

const beside = (backup: string): Promise<string[]> => fs.readdir(path.dirname(backup));

describe("a restore", () => {
  test("L3: makes a node's folder whose state has the content, the revision and the leases under a new epoch", async () => {
    const { node, source, run } = await serving();
    const into = await folder();
    for (const lease of [7, 8]) await run({ kind: "leaseGrant", lease: leaseId(lease), ttlMs: 60_000 });
    await run(held("a", "1", 7));
    await run(held("b", "1", 8));
    await run({ kind: "leaseRevoke", lease: leaseId(8) });
    await node.put("c", "1");
    await back(source, into);
    const live = await node.replica.read({ kind: "stateHash" });
    // At revision 2 the key of the lease stands whose time to live nobody asked for.
    for (const [at, ttls] of [
      [4, [60_000, null]],
      [2, [60_000, 3_600_000]],
    ] as const) {
      const directory = path.join(path.dirname(into), `new-${at}`);
      const restored = await restoring(into, { at: { kind: "revision", revision: at }, directory });
      expect(restored).toMatchObject({ revision: at, recordedLive: at === 4, epoch: { counter: 2, departure: at } });
      if (at === 4) expect(restored.contentHash).toBe(toHex(live.content.hash));
      const config = await loadConfig(restored.node.config);
      expect(config.epoch).toEqual(restored.epoch);
      const state = new SqliteStateStore({ ...config, membership: { voters: [], outgoing: [], learners: [] } });
      const stored = await state.open();
      expect(stored).toMatchObject({ applied: 1, appliedTerm: 1, membership: { voters: ["california-1"] } });
      expect(stored.position).toMatchObject({ epoch: restored.epoch, revision: at, logTime: 0 });
      const leases = await Promise.all([7, 8].map((lease) => state.read({ kind: "lease", lease: leaseId(lease) })));
      expect(leases.map(({ lease }) => lease?.ttlMs ?? null)).toEqual(ttls);
      expect(toHex((await state.read({ kind: "stateHash" })).content.hash)).toBe(restored.contentHash);
      // The records are the same, hashes included; the next one is chained to both (L3).
      const { records } = await state.ledger(revision(1), 1_000_000);
      const before = (await node.replica.ledger(revision(1), 1_000_000)).records.slice(0, at);
      expect(hexed(records.map(({ record }) => record))).toEqual(hexed(before.map(({ record }) => record)));
      expect(hexed(records.map(({ hash }) => hash))).toEqual(hexed(before.map(({ hash }) => hash)));
      expect(toHex(records.at(-1)?.hash ?? new Uint8Array())).toBe(toHex(stored.position.hash));
      expect(stored.position.ancestors).toMatchObject([
        { epoch: node.replica.position().epoch, hash: stored.position.hash },
      ]);
      await state.close();
    }
  });

  test("refuses a folder that holds anything, and leaves nothing behind when it fails", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await node.put("a", "1");
    await back(source, into);
    const directory = path.join(path.dirname(into), "new");
    await fs.mkdir(directory);
    await fs.writeFile(path.join(directory, "precious"), "");
    await expect(restoring(into)).rejects.toEqual(refusedWith("RESTORE_REFUSED", /is not empty/));
    await expect(restoring(into, { directory: path.join(directory, "precious") })).rejects.toEqual(
      refusedWith("RESTORE_REFUSED", /is no folder/),
    );
    await fs.rm(path.join(directory, "precious"));
    await expect(restoring(into, { key: "nowhere" })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    const manifest = await requireManifest(into);
    const live = manifest.live.map((one) => ({ ...one, contentHash: "0".repeat(64) }));
    await fs.writeFile(path.join(into, "manifest.json"), manifestText({ ...manifest, live }));
    await expect(restoring(into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /recorded live was 0000/));
    expect((await beside(into)).sort()).toEqual(["backup", "cluster.key", "new"]);
    await fs.writeFile(path.join(into, "manifest.json"), manifestText({ ...manifest, applyVersion: 99 }));
    await expect(restoring(into)).rejects.toMatchObject({ code: "NODE_TOO_OLD" });
    // Seen before the backup, which may be long, is read.
    const tls = { certificate: "nowhere.crt", key: "nowhere.key" };
    await expect(restoring(into, { tls })).rejects.toEqual(refusedWith("CONFIG_INVALID", /cannot read nowhere\.crt/));
    await fs.writeFile(path.join(into, "manifest.json"), manifestText(manifest));
    // An empty folder is as good as none.
    expect(await restoring(into)).toMatchObject({ revision: 1, recordedLive: true });
  });

  test("R5: that was ended in its midst, or has lost what it made, is nothing that starts", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await node.put("a", "1");
    await back(source, into);
    const directory = path.join(path.dirname(into), "new");
    const copies: string[] = [];
    const progress = (): void => {
      const [half = ""] = readdirSync(path.dirname(into)).filter((name) => name.startsWith("new.restoring-"));
      const copy = path.join(path.dirname(into), `copy-${copies.length}`);
      cpSync(path.join(path.dirname(into), half), copy, { recursive: true });
      copies.push(copy);
    };
    const { node: made } = await restoring(into, { directory, progress });
    await requireOwnData(await loadConfig(made.config));
    await fs.rm(path.join(path.dirname(made.config), "data"), { recursive: true });
    expect(copies.length).toBeGreaterThan(0);
    for (const half of [directory, ...copies]) {
      const config = await loadConfig(path.join(half, "california-1", "config.yaml"));
      await expect(requireOwnData(config), half).rejects.toMatchObject({ code: "DATA_MISSING" });
      // Nor without what was there of its state.
      await fs.rm(config.dataDir, { recursive: true, force: true });
      await expect(requireOwnData(config), half).rejects.toMatchObject({ code: "DATA_MISSING" });
    }
  });

  test("of a damaged backup goes up to what is wrong, and no further", async () => {
    const { node, source } = await serving();
    const into = await folder();
    for (let i = 0; i < 9; i++) await node.put("a", `${i}`);
    await back(source, into);
    const file = path.join(into, "ledger-0000000000000001-0000000000000009");
    const bytes = await fs.readFile(file);
    const middle = Math.floor((bytes.length * 2) / 3);
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    await fs.writeFile(file, bytes);
    const failure: unknown = await restoring(into).catch((error: unknown) => error);
    if (!(failure instanceof OpenClawError)) throw failure;
    const wrong = Number(/revision (\d+)/.exec(failure.details)?.[1]);
    const at = (number: number): Partial<RestorePlan> => ({ at: { kind: "revision", revision: number } });
    await expect(restoring(into, at(wrong))).rejects.toMatchObject({ code: "BACKUP_INVALID" });
    expect(await restoring(into, at(wrong - 1))).toMatchObject({ revision: wrong - 1 });
  });

  test("asks the members that the backup knows whether they still serve", async () => {
    const { node, source } = await serving();
    const into = await folder();
    await node.put("a", "1");
    await back(source, into);
    const status = { cluster: "california", node: "california-1", epochCounter: 1, removed: false };
    await expect(requireGone(into, async () => status)).rejects.toEqual(
      refusedWith("RESTORE_REFUSED", /california-1 of california, epoch 1, still serves at http:\/\/127.0.0.1:8101/),
    );
    const no = async () => Promise.reject(new OpenClawError("UNAUTHENTICATED"));
    await expect(requireGone(into, no)).rejects.toEqual(refusedWith("RESTORE_REFUSED", /UNAUTHENTICATED/));
    await requireGone(into, async () => Promise.reject(new OpenClawError("UNAVAILABLE")));
    await requireGone(into, async () => ({ ...status, cluster: "alaska" }));
    await requireGone(into, async () => ({ ...status, removed: true }));
  });
});
