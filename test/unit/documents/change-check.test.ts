import { deflateRawSync } from "node:zlib";
import * as Automerge from "@automerge/automerge";
import { toHex } from "@openclaw/core/bytes.ts";
import { PLAIN_TOOLS } from "@openclaw/core/documents/change-check.ts";
import { CHANGE_ROWS_MAX, inspectChange } from "@openclaw/core/documents/change-chunk.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ActorId, ChangeHash } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { ChangeCheck, JOB_BYTES_MAX } from "@openclaw/edge-runtime/documents/change-check.ts";
import { DocumentWorker } from "@openclaw/edge-runtime/documents/document-worker.ts";
import type { Job, JobAnswer } from "@openclaw/edge-runtime/documents/job.ts";
import fc from "fast-check";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { changesOf, chunk, columnsBody, described, runs, signedLeb, unsignedLeb } from "./changes.ts";

const check = new ChangeCheck();
afterAll(() => check.stop());

/** Whole numbers beyond 2^53 are stored by Automerge, which then cannot read them. */
const json = fc.jsonValue({ maxDepth: 2 }).filter((value) => !/"__proto__"|e\+|\d{16}/.test(JSON.stringify(value)));

/** Remembers its jobs, and dies of some. */
class Watched extends DocumentWorker {
  readonly jobs: (readonly DocumentChange[])[] = [];
  diesOf: (changes: readonly DocumentChange[]) => boolean = () => false;

  override run<J extends Job>(job: J): Promise<JobAnswer<J>> {
    if (job.kind !== "check") return super.run(job);
    this.jobs.push(job.changes);
    return this.diesOf(job.changes) ? Promise.reject(new OpenClawError("INTERNAL", "it died")) : super.run(job);
  }
}

const codeOf = (bytes: Uint8Array): string => {
  try {
    inspectChange(bytes, PLAIN_TOOLS);
    return "ok";
  } catch (error) {
    if (error instanceof OpenClawError) return error.code;
    throw error;
  }
};

const [change] = changesOf("aabb", (draft) =>
  Object.assign(draft, { title: "shift", count: 1, list: [1, "two", null, true] }),
);
if (change === undefined) throw new Error("a change was made");
const [long] = changesOf("aabb", (draft) => Object.assign(draft, { text: "x".repeat(100_000) }));
if (long === undefined) throw new Error("a change was made");

/** The same change as Automerge writes it inside a saved document: its body deflated, its checksum unchanged. */
const deflated = deflatedForm(long);
function deflatedForm({ bytes }: DocumentChange): DocumentChange {
  let body = 9;
  while ((bytes[body++] ?? 0) >= 128);
  const packed = deflateRawSync(bytes.subarray(body));
  return described(Uint8Array.from([...bytes.subarray(0, 8), 2, ...unsignedLeb(packed.length), ...packed]));
}

describe("D1: a change is bounded before Automerge sees it", () => {
  test("D1: a plain and a deflated change have the hash that Automerge gives them", () => {
    expect(change.bytes[8]).toBe(1);
    expect(inspectChange(change.bytes, PLAIN_TOOLS).hash).toBe(change.hash);
    expect(inspectChange(long.bytes, PLAIN_TOOLS).hash).toBe(long.hash);
    expect(deflated.bytes.length).toBeLessThan(1_000);
    expect(deflated.hash).toBe(long.hash);
    expect(inspectChange(deflated.bytes, PLAIN_TOOLS).hash).toBe(long.hash);
  });

  test("D1: every change of a random document passes, and Automerge agrees on its hash", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), json, { maxKeys: 8 }), (entries) => {
        const { __proto__: _, ...usable } = entries;
        for (const each of changesOf("aabb", (draft) => Object.assign(draft, usable))) {
          expect(inspectChange(each.bytes, PLAIN_TOOLS).hash).toBe(each.hash);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("D1: flipping any one byte is found", () => {
    for (let at = 0; at < change.bytes.length; at++) {
      const altered = change.bytes.slice();
      altered[at] = (altered[at] ?? 0) ^ 0x10;
      expect(codeOf(altered), `byte ${at}`).toBe("CHANGE_INVALID");
    }
  });

  test("D1: a cut, extended, empty or foreign chunk is refused", () => {
    for (let length = 0; length < change.bytes.length; length++) {
      expect(codeOf(change.bytes.subarray(0, length))).toBe("CHANGE_INVALID");
    }
    expect(codeOf(Uint8Array.from([...change.bytes, 0]))).toBe("CHANGE_INVALID");
    expect(codeOf(Automerge.save(Automerge.from({ a: 1 })))).toBe("CHANGE_INVALID");
  });

  test("D1: pitfall 46: what inflates without bound is refused before it is inflated whole", () => {
    const packed = deflateRawSync(new Uint8Array(64 * 1_048_576));
    const bomb = Uint8Array.from([0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 2, ...unsignedLeb(packed.length), ...packed]);
    expect(bomb.length).toBeLessThan(100_000);
    expect(codeOf(bomb)).toBe("CHANGE_TOO_LARGE");
  });

  test("D1: pitfall 46: fifty bytes that claim 2^40 operations are refused", () => {
    expect(codeOf(runs(1_000n))).toBe("ok");
    expect(codeOf(runs(BigInt(CHANGE_ROWS_MAX) + 1n))).toBe("CHANGE_TOO_LARGE");
    expect(codeOf(runs(2n ** 40n))).toBe("CHANGE_TOO_LARGE");
    expect(codeOf(runs(2n ** 62n))).not.toBe("ok");
    const nulls = chunk(columnsBody([[0x42, [0, ...unsignedLeb(2 ** 40)]]]));
    expect(codeOf(nulls)).toBe("CHANGE_TOO_LARGE");
    const key = Array.from({ length: 10_000 }, () => 0x61);
    const keys = chunk(columnsBody([[0x15, [...signedLeb(100_000n), ...unsignedLeb(key.length), ...key]]]));
    expect(codeOf(keys)).toBe("CHANGE_TOO_LARGE");
  });

  test("D1: a deflated column inside a change is refused", () => {
    expect(codeOf(chunk(columnsBody([[0x4a, [1, 1]]])))).toBe("CHANGE_INVALID");
  });

  test("D1: random bytes behind a right header never do more than be refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        expect(["ok", "CHANGE_INVALID", "CHANGE_TOO_LARGE"]).toContain(codeOf(chunk(body)));
      }),
      { numRuns: 500 },
    );
  });
});

describe("D1: what a change claims is what it is", () => {
  test("D1: honest changes pass together", async () => {
    const two = changesOf(
      "0011",
      (draft) => Object.assign(draft, { a: 1 }),
      (draft) => Object.assign(draft, { a: 2 }),
    );
    expect(await check.check([change, deflated, ...two])).toBeNull();
    expect(await check.check([])).toBeNull();
  });

  test.each([
    ["hash", { hash: "0".repeat(64) as ChangeHash }],
    ["actor", { actor: "ffff" as ActorId }],
    ["sequence number", { seq: 7 }],
    ["dependencies", { deps: ["1".repeat(64) as ChangeHash] }],
  ])("D1: a false %s is CHANGE_INVALID", async (part, lie) => {
    const refusal = await check.check([deflated, { ...change, ...lie }]);
    expect(refusal).toEqual({ code: "CHANGE_INVALID", details: `change 1: its ${part} is not the one claimed` });
  });

  test("D1: well-formed columns that are no operations are refused by Automerge, and the worker goes on", async () => {
    const bytes = chunk(columnsBody([[0x42, [1, 99]]]));
    const hash = inspectChange(bytes, PLAIN_TOOLS).hash as ChangeHash;
    const refusal = await check.check([{ hash, actor: "aabb" as ActorId, seq: 1, deps: [], bytes }]);
    expect(refusal?.code).toBe("CHANGE_INVALID");
    expect(await check.check([described(change.bytes)])).toBeNull();
  });

  test("D1: however many come at once, the time of a job is that of a few", async () => {
    const worker = new Watched();
    const checks = new ChangeCheck(worker);
    onTestFinished(() => checks.stop());
    const many = Array.from({ length: 24 }, (_, i) =>
      changesOf(toHex(Uint8Array.of(1, i)), (doc) => Object.assign(doc, { text: `${i}`.repeat(3_000) })),
    ).flat();
    expect(await checks.check([...many, long, ...many])).toBeNull();
    expect(worker.jobs.flat()).toHaveLength(49);
    for (const job of worker.jobs) {
      const bytes = job.reduce((sum, each) => sum + each.bytes.length, 0);
      if (job.length > 1) expect(bytes).toBeLessThanOrEqual(JOB_BYTES_MAX);
    }
    expect(worker.jobs.length).toBeLessThan(25);
  });

  test("D1: of those that the worker died of each is tried alone, and the one at fault is named", async () => {
    const worker = new Watched();
    const checks = new ChangeCheck(worker);
    onTestFinished(() => checks.stop());
    const [one, two, three] = changesOf("0022", ...[1, 2, 3].map((a) => (doc: object) => Object.assign(doc, { a })));
    if (one === undefined || two === undefined || three === undefined) throw new Error("three changes were made");
    worker.diesOf = (job) => job.length > 1;
    expect(await checks.check([one, two, three])).toBeNull();
    worker.diesOf = (job) => job.includes(two);
    expect(await checks.check([one, two, three])).toEqual({ code: "CHANGE_INVALID", details: "change 1: it died" });
  });

  test("X1: more than the queue holds is OVERLOADED, and what was queued is answered", async () => {
    const calls = Array.from({ length: 300 }, () => check.check([change]));
    const settled = await Promise.allSettled(calls);
    const refused = settled.filter((each) => each.status === "rejected");
    expect(refused.length).toBe(300 - 257);
    for (const each of refused) expect(each.reason).toMatchObject({ code: "OVERLOADED" });
  });
});
