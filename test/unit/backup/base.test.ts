/** A backup that begins with a base: the content at one revision instead of the ledger that led to it. */
import fs from "node:fs/promises";
import path from "node:path";
import { equalBytes, toHex, utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import { requireManifest } from "@openclaw/edge-runtime/backup/manifest.ts";
import { pruneBackup } from "@openclaw/edge-runtime/backup/prune.ts";
import { planRestore, type RestorePlan, restoreBackup } from "@openclaw/edge-runtime/backup/restore.ts";
import { verifyBackup } from "@openclaw/edge-runtime/backup/verify.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { ClusterKey } from "@openclaw/edge-runtime/network/identity.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import { back, folder, held, leaseId, type Serving, serving } from "./fixture.ts";

const refusedWith = (code: string, details?: RegExp) =>
  expect.objectContaining({ code, ...(details === undefined ? {} : { details: expect.stringMatching(details) }) });

const at = (number: number): Partial<RestorePlan> => ({ at: { kind: "revision", revision: number } });

let made = 0;
async function restoring(backup: string, changes: Partial<RestorePlan> = {}) {
  const key = path.join(path.dirname(backup), "cluster.key");
  await fs.access(key).catch(() => ClusterKey.create(key));
  const directory = path.join(path.dirname(backup), `new-${made++}`);
  const restored = await restoreBackup({
    ...{ backup, at: { kind: "latest" }, directory, key, operatorKey: null },
    ...{ host: "127.0.0.1", httpPort: 1, p2pPort: 2, wsPort: 3, progress: () => {} },
    ...changes,
  });
  const config = await loadConfig(restored.node.config);
  const state = new SqliteStateStore({ ...config, membership: { voters: [], outgoing: [], learners: [] } });
  const { position } = await state.open();
  onTestFinished(() => state.close());
  return { restored, config, state, position };
}

const liveHash = async ({ node }: Serving): Promise<string> =>
  toHex((await node.replica.read({ kind: "stateHash" })).content.hash);

const compact = (site: Serving, to: number): Promise<void> => site.run({ kind: "compact", revision: revision(to) });

const files = async (into: string): Promise<readonly string[]> =>
  (await fs.readdir(into)).filter((name) => /^(ledger|base)-/.test(name)).sort();

/** Ten revisions, of which the first eight are compacted, and their base. */
async function compacted(): Promise<{ readonly site: Serving; readonly into: string; readonly live: string }> {
  const site = await serving();
  const into = await folder();
  await site.run({ kind: "leaseGrant", lease: leaseId(7), ttlMs: 60_000 });
  for (let i = 1; i <= 8; i++) await site.node.put(`key ${i}`, `value ${i}`);
  await site.run(held("held", "1", 7));
  await site.run({ kind: "deleteRange", keys: { kind: "key", key: utf8("key 2") } });
  await compact(site, 9);
  const live = await liveHash(site);
  await back(site.source, into);
  return { site, into, live };
}

describe("K10: of a cluster that compacted its ledger, a backup", () => {
  test("begins with a base by itself, and goes on from it", async () => {
    const { site, into, live } = await compacted();
    expect(await files(into)).toEqual(["base-0000000000000010.rows"]);
    expect(await verifyBackup(into)).toMatchObject({ first: 10, last: 10, gaps: [], records: 0 });
    for (let i = 1; i <= 3; i++) await site.node.put("more", `${i}`);
    expect(await back(site.source, into)).toMatchObject({ first: 10, last: 13, added: 3 });
    expect(await files(into)).toEqual(["base-0000000000000010.rows", "ledger-0000000000000011-0000000000000013"]);
    expect(await verifyBackup(into)).toMatchObject({ first: 10, last: 13, records: 3 });
    const manifest = await requireManifest(into);
    const { position } = await site.node.replica.read({ kind: "stateHash" });
    expect(manifest.bases).toMatchObject([{ revision: 10, contentHash: live }]);
    expect(manifest.segments[0]?.ledgerHash).toBe(toHex(position.hash));
  });

  test("L3: is restored at and after the base, with the hashes recorded live, and not before it", async () => {
    const { site, into, live } = await compacted();
    const hashes = [live];
    for (let i = 1; i <= 3; i++) {
      await site.node.put("more", `${i}`);
      hashes.push(await liveHash(site));
    }
    await back(site.source, into);
    for (const [i, wanted] of hashes.entries()) {
      const { restored, position } = await restoring(into, at(10 + i));
      expect(restored).toMatchObject({ revision: 10 + i, contentHash: wanted, recordedLive: i === 0 || i === 3 });
      expect(position).toMatchObject({ revision: 10 + i, compacted: 10, epoch: { counter: 2, departure: 10 + i } });
    }
    for (const [wrong, text] of [
      [9, /holds revisions 10 to 13, not 9/],
      [14, /holds revisions 10 to 13, not 14/],
    ] as const) {
      await expect(restoring(into, at(wrong))).rejects.toEqual(refusedWith("BAD_REQUEST", text));
      await expect(planRestore(into, { kind: "revision", revision: wrong })).rejects.toMatchObject({ details: text });
    }
  });

  test("K6, K10: the restored state is as one that was compacted at the base: leases, history, ledger", async () => {
    const { site, into } = await compacted();
    await site.node.put("key 1", "later");
    await back(site.source, into);
    const { state, position } = await restoring(into);
    expect((await state.read({ kind: "lease", lease: leaseId(7) })).lease).toMatchObject({
      ...{ ttlMs: 60_000, keys: [utf8("held")] },
    });
    const get = async (key: string, of: number) => {
      const { row } = await state.history({ kind: "get", origin: null, key: utf8(key), at: revision(of) });
      return row === null ? null : utf8Text(row.value);
    };
    expect([await get("key 1", 10), await get("key 1", 11), await get("key 2", 10)]).toEqual([
      "value 1",
      "later",
      null,
    ]);
    await expect(get("key 1", 9)).rejects.toEqual(refusedWith("COMPACTED", /kept from revision 10/));
    const versions = async (of: Pick<SqliteStateStore, "history">) =>
      (await of.history({ kind: "versions", origin: null, key: utf8("key 1"), before: null, limit: 9 })).versions;
    const before = await versions({ history: (query) => site.node.replica.history(query) });
    expect(before).toHaveLength(2);
    expect(await versions(state)).toEqual(before);
    // From the base's record on the chain can be checked: it has the hash that it had (L3).
    const { records } = await state.ledger(revision(10), 1_000_000);
    expect(records.map((record) => Number(record.revision))).toEqual([10, 11]);
    await expect(state.ledger(revision(9), 1)).rejects.toEqual(refusedWith("COMPACTED"));
    const [base] = (await requireManifest(into)).bases;
    expect(toHex(records[0]?.hash ?? new Uint8Array())).toBe(base?.ledgerHash);
    expect(equalBytes(records[1]?.hash ?? new Uint8Array(), position.hash)).toBe(true);
    expect(await state.checkLedger(revision(11), null, 1_000_000)).toMatchObject({ fault: null, done: true });
  });
});

describe("--full", () => {
  test("makes a new base where the backup goes on: no revision is missing, and what is before it may go", async () => {
    const site = await serving();
    const into = await folder();
    for (let i = 1; i <= 4; i++) await site.node.put("k", `${i}`);
    await back(site.source, into);
    for (let i = 5; i <= 6; i++) await site.node.put("k", `${i}`);
    const live = await liveHash(site);
    await back(site.source, into, { full: true });
    await site.node.put("k", "7");
    await back(site.source, into);
    const base = "base-0000000000000006.rows";
    const after = "ledger-0000000000000007-0000000000000007";
    expect(await files(into)).toEqual([base, "ledger-0000000000000001-0000000000000006", after]);
    expect(await verifyBackup(into)).toMatchObject({ first: 1, last: 7, gaps: [], records: 7 });
    expect((await restoring(into, at(5))).position).toMatchObject({ revision: 5, compacted: 0 });
    // From its newest base: what is before it is not looked at.
    await fs.truncate(path.join(into, "ledger-0000000000000001-0000000000000006"), 10);
    const { restored, position } = await restoring(into, at(6));
    expect([restored.contentHash, position.compacted]).toEqual([live, 6]);
    // Nothing was written since: there is nothing to make.
    const again = await back(site.source, into, { full: true });
    expect([again.added, (await requireManifest(into)).bases.length]).toEqual([0, 2]);
    expect(await pruneBackup(into)).toMatchObject({ first: 7, last: 7, removed: 3 });
    expect(await verifyBackup(into)).toMatchObject({ first: 7, last: 7 });
    expect((await restoring(into)).restored.contentHash).toBe(await liveHash(site));
  });

  test("goes on over what was compacted meanwhile, and says what is missing", async () => {
    const site = await serving();
    const into = await folder();
    for (let i = 1; i <= 4; i++) await site.node.put("k", `${i}`);
    await back(site.source, into);
    const early = await liveHash(site);
    for (let i = 5; i <= 9; i++) await site.node.put("k", `${i}`);
    await compact(site, 8);
    await expect(back(site.source, into)).rejects.toEqual(refusedWith("COMPACTED", /revision 5 next; --full/));
    expect(await back(site.source, into, { full: true })).toMatchObject({
      first: 1,
      last: 9,
      gaps: [{ first: 5, last: 8 }],
    });
    await site.node.put("k", "10");
    expect(await back(site.source, into)).toMatchObject({ last: 10, added: 1 });
    expect(await verifyBackup(into)).toMatchObject({ gaps: [{ first: 5, last: 8 }] });
    expect((await restoring(into, at(4))).restored.contentHash).toBe(early);
    expect((await restoring(into)).restored).toMatchObject({ revision: 10, contentHash: await liveHash(site) });
    await expect(restoring(into, at(6))).rejects.toEqual(refusedWith("BAD_REQUEST", /1 to 4, 9 to 10, not 6/));
    const now = { kind: "time", time: Date.now() } as const;
    expect(await planRestore(into, now)).toMatchObject({ revision: 10 });
  });

  test("without a base there is nothing to prune; a damaged one takes nothing's place", async () => {
    const site = await serving();
    const into = await folder();
    expect(await back(site.source, into, { full: true })).toMatchObject({ first: null });
    await site.node.put("k", "1");
    await back(site.source, into);
    await expect(pruneBackup(into)).rejects.toEqual(refusedWith("BAD_REQUEST", /no base/));
    await back(site.source, into, { full: true });
    const before = await files(into);
    await fs.truncate(path.join(into, "base-0000000000000001.rows"), 60);
    await expect(pruneBackup(into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /^base-0000000000000001/));
    expect(await files(into)).toEqual(before);
  });
});

test("a byte that is flipped anywhere in a base is found, and its file is named", async () => {
  const { into } = await compacted();
  const file = path.join(into, "base-0000000000000010.rows");
  const whole = await fs.readFile(file);
  for (let i = 0; i < whole.length; i += 3) {
    for (const mask of [0x01, 0x80]) {
      const altered = Buffer.from(whole);
      altered[i] = (altered[i] ?? 0) ^ mask;
      await fs.writeFile(file, altered);
      await expect(verifyBackup(into), `flip at ${i}`).rejects.toEqual(
        refusedWith("BACKUP_INVALID", /^base-0000000000000010\.rows: /),
      );
    }
  }
  await expect(restoring(into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /^base-/));
  await fs.rm(file);
  await expect(verifyBackup(into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /^base-\S+ is missing/));
  await fs.writeFile(file, Buffer.concat([whole, Buffer.of(0)]));
  await expect(verifyBackup(into)).rejects.toEqual(refusedWith("BACKUP_INVALID", /^base-/));
  await fs.writeFile(file, whole);
  await verifyBackup(into);
});

describe("X1: a node sends one base at a time", () => {
  test("refuses another one, and is free again when its reader is gone", async () => {
    const site = await serving();
    for (let i = 0; i < 12; i++) await site.node.put(`k ${i}`, new Uint8Array(1_000_000));
    const url = `${site.http}/v1/base`;
    const first = new AbortController();
    const sent = await fetch(url, { signal: first.signal });
    expect(sent.status).toBe(200);
    const second = await fetch(url);
    expect([second.status, await second.json()]).toEqual([429, expect.objectContaining({ code: "OVERLOADED" })]);
    first.abort();
    const into = await folder();
    await expect
      .poll(() => back(site.source, into, { full: true }).catch((error: unknown) => error), { timeout: 10_000 })
      .toMatchObject({ last: 12 });
    expect(await verifyBackup(into)).toMatchObject({ first: 12 });
  });

  test("a failure on the way is told with its code, and nothing of it stays", async () => {
    const site = await serving({
      replica: (replica) =>
        new Proxy(replica, {
          get(target, name) {
            if (name === "base")
              return async function* () {
                yield new Uint8Array(0);
                throw new OpenClawError("STORAGE_FULL", "no room for a copy");
              };
            const value: unknown = Reflect.get(target, name);
            return typeof value === "function" ? value.bind(target) : value;
          },
        }),
    });
    const into = await folder();
    await site.node.put("k", "1");
    await expect(back(site.source, into, { full: true })).rejects.toEqual(refusedWith("STORAGE_FULL", /no room/));
    expect((await fs.readdir(into)).sort()).toEqual(["backup.lock", "manifest.json"]);
  });
});
