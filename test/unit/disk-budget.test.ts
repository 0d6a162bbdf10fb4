import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type LeaseId, type NodeId, revision } from "@openclaw/core/ids.ts";
import type { LedgerEvent } from "@openclaw/core/ledger/record.ts";
import { encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { Clock, StoredRecord } from "@openclaw/core/ports.ts";
import { DiskBudget, type DiskBudgetOptions, type DiskUse } from "@openclaw/core/replica/disk-budget.ts";
import type { Proposed } from "@openclaw/core/replica/proposals.ts";
import type { Operation } from "@openclaw/core/state-machine/operation.ts";
import { expect, test } from "vitest";

const MIB = 1_048_576;
const PUT: Proposed = { kind: "put", key: utf8("k"), value: utf8("v") };
const node = (name: string): NodeId => name as NodeId;

/** A node with a budget of 100 MiB. What is done to make room is written down, and does what the test says. */
/** A record of a put, or of a queued command. */
function recordAt(at: number, { commands }: { readonly commands: readonly number[] }): StoredRecord {
  const bytes = new Uint8Array([at % 256]);
  const event: LedgerEvent = commands.includes(at)
    ? { kind: "command", via: null, to: null, seen: null, command: bytes }
    : { kind: "put", key: bytes, value: bytes, lease: null, numbers: null, encryption: null };
  const head = { partition: 0, revision: revision(at), salt: new Uint8Array(16), home: "site" } as const;
  const deed = { origin: null, link: null, time: 0, principal: "ada", events: [event] } as const;
  return { revision: revision(at), record: encodeRecord({ ...head, ...deed }), hash: new Uint8Array(32) };
}

function budgeted(
  use: Partial<DiskUse> = {},
  { pinned = false, sheds = false, budget = (100 * MIB) as number | null } = {},
) {
  const done: string[] = [];
  const told: string[] = [];
  const failures: OpenClawError[] = [];
  const world = {
    use: { files: 0, reusable: 0, log: 0, copies: 0, removing: false, ...use },
    now: 0,
    role: "leader",
    leader: "a",
    members: ["a"],
    othersFull: [] as string[],
    position: { revision: 100, compacted: 0, parentHolds: 0 },
    /** Bytes that nobody reads. */
    unread: 0,
    logFrees: 0,
    /** Revisions that are queued commands. */
    commands: [] as number[],
  };
  const free = (bytes: number, kind: "copies" | "log"): void => {
    world.use = { ...world.use, files: world.use.files - bytes, [kind]: world.use[kind] - bytes };
  };
  let due: () => void = () => {};
  const clock: Clock = {
    now: () => world.now,
    wall: () => 0,
    after: (_ms, callback) => {
      due = callback;
      return () => {
        due = () => {};
      };
    },
  };
  const replica = {
    status: () => ({ id: "a", role: world.role, leader: world.leader, members: world.members }),
    position: () => world.position,
    shedLog: async () => {
      done.push("log");
      free(world.logFrees, "log");
      world.logFrees = 0;
    },
    ledger: async (from: number) => ({
      revision: world.position.revision,
      records: Array.from({ length: Math.max(0, world.position.revision - from + 1) }, (_, i) =>
        recordAt(from + i, world),
      ),
    }),
    propose: async (command: { readonly kind: string; readonly revision: number }) => {
      done.push(`${command.kind} ${command.revision}`);
      world.position = { ...world.position, compacted: command.revision };
      return { kind: "outcome", outcome: { ok: true, revision: 0, response: null } };
    },
    execute: async (command: { readonly kind: string; readonly revision: number }) => {
      done.push(`${command.kind} ${command.revision}`);
      world.position = { ...world.position, compacted: command.revision };
      return { ok: true, revision: 0, response: null };
    },
  };
  // What is asked of a replica, and no more.
  const options = {
    replica,
    clock,
    disk: {
      use: async () => world.use,
      dropCopies: async () => {
        done.push("copies");
        free(world.unread, "copies");
        world.unread = 0;
      },
    },
    budgetBytes: budget,
    pinned,
    shedsUnshipped: sheds,
    saysFull: (name: string) => world.othersFull.includes(name),
    told: (what: string) => void told.push(what),
    failed: (error: OpenClawError) => void failures.push(error),
  } as unknown as DiskBudgetOptions;
  const disk = new DiskBudget(options);
  const look = async (ms = 1_000): Promise<string[]> => {
    world.now += ms;
    done.length = 0;
    await disk.look();
    return [...done];
  };
  return { disk, world, look, told, failures, start: () => disk.start(), due: () => due() };
}

test("S5: room is made in the declared order, and below 80 % nothing is shed", async () => {
  const { disk, world, look, told } = budgeted({ files: 80 * MIB, log: 20 * MIB, copies: 10 * MIB });
  world.unread = 10 * MIB;
  world.logFrees = 12 * MIB;
  expect(disk.status().next).toBe("past");
  expect(await look()).toEqual([]);
  expect(disk.status()).toMatchObject({ next: "copies", full: false, refuses: null });
  world.use = { ...world.use, files: 110 * MIB };
  expect(await look()).toEqual(["copies", "log", "compact 26"]);
  // 88 % is left of it: shed from, and not refused.
  expect(disk.status()).toMatchObject({
    files: 88 * MIB,
    full: false,
    shed: { copies: 10 * MIB, log: 12 * MIB, past: 25, unshipped: 0, writes: 0 },
    next: "past",
  });
  expect(told).toEqual([
    `made room on the disk: copies, ${10 * MIB} bytes`,
    `made room on the disk: log, ${12 * MIB} bytes`,
    "made room on the disk: the past before revision 26",
  ]);
});

test("S5: a node that does not know its group yet, and says of nobody that it is full, refuses nothing", async () => {
  const { disk, world, look, told } = budgeted({}, { budget: null });
  world.members = [];
  world.leader = null as never;
  await look();
  expect(disk.refusal(PUT)).toBeNull();
  expect(told).toEqual([]);
});

test("S5: the past stays while copies and log make room enough", async () => {
  const { world, look } = budgeted({ files: 90 * MIB, log: 20 * MIB, copies: 10 * MIB });
  world.unread = 10 * MIB;
  expect(await look()).toEqual(["copies", "log"]);
});

test("S5: a copy in use stays, and the log is cut again only when it has grown", async () => {
  const { disk, world, look } = budgeted({ files: 85 * MIB, reusable: 10 * MIB, log: 20 * MIB, copies: 10 * MIB });
  expect(await look()).toEqual(["copies", "log"]);
  expect(disk.status().next).toBe("past");
  expect(await look()).toEqual(["copies"]);
  world.use = { ...world.use, log: 24 * MIB };
  expect(disk.status().shed).toEqual({ copies: 0, log: 0, past: 0, unshipped: 0, writes: 0 });
  expect(await look()).toEqual(["copies", "log"]);
});

test("S5: the past goes in steps, the next one when what was compacted is removed", async () => {
  const { world, look } = budgeted({ files: 90 * MIB });
  expect(await look()).toEqual(["compact 26"]);
  expect(await look()).toEqual([]);
  world.use = { ...world.use, removing: true };
  expect(await look(60_000)).toEqual([]);
  world.use = { ...world.use, removing: false };
  expect(await look()).toEqual(["compact 45"]);
  world.use = { ...world.use, reusable: 20 * MIB };
  expect(await look(60_000)).toEqual([]);
});

test("S5: what the parent does not hold goes last, from 90 % on, and never silently", async () => {
  const { disk, world, look, told } = budgeted({ files: 89 * MIB, log: 4 * MIB }, { pinned: true, sheds: true });
  world.position = { ...world.position, parentHolds: 4 };
  world.logFrees = 4 * MIB;
  const seen: string[] = [];
  for (let i = 0; i < 9; i++) seen.push(...(await look(60_000)));
  expect(seen).toEqual(["log", "compact 2", "compact 3", "compact 4", "compact 5"]);
  expect(disk.status().next).toBe("unshipped");
  world.use = { ...world.use, files: 92 * MIB, log: 0 };
  expect(await look()).toEqual(["shed 29"]);
  expect(await look()).toEqual([]);
  expect(disk.status()).toMatchObject({ shed: { past: 4, unshipped: 24, writes: 0 }, refuses: null });
  expect(told.at(-1)).toBe("made room on the disk: what the parent does not hold, before revision 29");
  // As long as that is being removed, and where there is no need, it stays.
  world.use = { ...world.use, removing: true };
  expect(await look(60_000)).toEqual([]);
  world.use = { ...world.use, removing: false, reusable: 10 * MIB };
  expect(await look(60_000)).toEqual([]);
  // The parent is there again: it holds more, and that goes first.
  world.position = { ...world.position, parentHolds: 60 };
  world.use = { ...world.use, reusable: 0 };
  expect(await look(60_000)).toEqual(["compact 37"]);
  expect(disk.status().next).toBe("past");
});

test("S5, Q2: a queued command that the parent has not heard of is not shed; then writes are refused", async () => {
  const { disk, world, look } = budgeted({ files: 96 * MIB }, { pinned: true, sheds: true });
  world.position = { ...world.position, parentHolds: 4, compacted: 5 };
  world.commands = [20];
  expect(await look()).toEqual(["shed 19"]);
  expect(await look(60_000)).toEqual([]);
  expect(disk.status()).toMatchObject({ next: "writes" });
  expect(disk.refusal(PUT)).toMatchObject({ code: "STORAGE_FULL" });
  world.position = { ...world.position, parentHolds: 20 };
  expect(await look(60_000)).toEqual(["compact 20"]);
});

test("S5: where what is unshipped is kept, nothing beyond what the parent holds is shed; then writes are refused", async () => {
  const { disk, world, look } = budgeted({ files: 96 * MIB }, { pinned: true });
  expect(await look()).toEqual([]);
  expect(disk.status()).toMatchObject({ next: "writes", full: true });
  world.position = { ...world.position, parentHolds: 4 };
  expect(disk.status().next).toBe("past");
  const seen: string[] = [];
  for (let i = 0; i < 9; i++) seen.push(...(await look(60_000)));
  expect(seen).toEqual(["compact 2", "compact 3", "compact 4", "compact 5"]);
  expect(disk.status().next).toBe("writes");
});

test("S5: writes are refused from 95 % on and taken again below 90 %", async () => {
  const { disk, world, look, told } = budgeted({ files: 94 * MIB }, { pinned: true });
  await look();
  expect(disk.refusal(PUT)).toBe(null);
  world.use = { ...world.use, files: 95 * MIB };
  await look();
  expect(disk.refusal(PUT)).toMatchObject({ code: "STORAGE_FULL", retryable: true });
  world.use = { ...world.use, files: 91 * MIB };
  await look();
  expect(disk.refusal(PUT)).toMatchObject({ code: "STORAGE_FULL" });
  // Rows that were deleted make room, though the file is as large as before.
  world.use = { ...world.use, reusable: 2 * MIB };
  await look();
  expect(disk.refusal(PUT)).toBe(null);
  expect(disk.status().shed.writes).toBe(2);
  expect(told).toEqual([
    "this node's disk budget is used up",
    "writes are refused: the disk budget of a, which leads, is used up",
    "there is room within this node's disk budget again",
    "writes are taken again",
  ]);
});

test("S5: only what needs room is refused", async () => {
  const { disk, look } = budgeted({ files: 99 * MIB });
  await look();
  const lease = "00".repeat(8) as unknown as LeaseId;
  const keys = { kind: "key", key: utf8("k") } as const;
  const deletes: Operation = { kind: "deleteRange", keys, previous: false };
  const puts: Operation = { kind: "put", key: utf8("k"), value: utf8("v"), lease: null, previous: false };
  const txn = (...success: Operation[]): Proposed => ({ kind: "txn", compares: [], success, failure: [] });
  const taken: Proposed[] = [
    { kind: "deleteRange", keys },
    { kind: "leaseKeepAlive", lease },
    { kind: "leaseRevoke", lease },
    { kind: "compact", revision: revision(1) },
    { kind: "stamp" },
    txn(deletes),
  ];
  for (const command of taken) expect(disk.refusal(command)).toBe(null);
  const idempotency = { key: "once", request: new Uint8Array(32), note: "" };
  const refused: Proposed[] = [
    PUT,
    { kind: "leaseGrant", lease, ttlMs: 1_000 },
    txn(deletes, puts),
    txn({ kind: "txn", compares: [], success: [], failure: [puts] }),
    { kind: "idempotent", idempotency, command: { kind: "put", key: utf8("k"), value: utf8("v") } },
  ];
  for (const command of refused) expect(disk.refusal(command)).toMatchObject({ code: "STORAGE_FULL" });
});

test("S5: a full follower is told of and stops nobody; a full leader, or a full majority, stops writes", async () => {
  const { disk, world, look, told } = budgeted({ files: 99 * MIB });
  Object.assign(world, { role: "follower", leader: "b", members: ["a", "b", "c"] });
  expect(await look()).toEqual([]);
  expect(disk.status()).toMatchObject({ full: true, refuses: null });
  expect(disk.refusal(PUT)).toBe(null);
  expect(told).toEqual(["this node's disk budget is used up"]);
  world.othersFull = ["c"];
  await look();
  expect(disk.refusal(PUT)?.details).toBe("the disk budgets of a, c are used up: no majority has room");
  world.use = { ...world.use, files: 10 * MIB };
  world.othersFull = ["b"];
  await look();
  expect(disk.refusal(PUT)?.details).toBe("the disk budget of b, which leads, is used up");
  expect(disk.status().full).toBe(false);
});

test("S5: a leader with room sheds the past for a majority that has none", async () => {
  const { world, look } = budgeted({ files: 10 * MIB });
  Object.assign(world, { members: ["a", "b", "c"], othersFull: ["b"] });
  expect(await look()).toEqual([]);
  world.othersFull = ["b", "c"];
  expect(await look(60_000)).toEqual(["compact 26"]);
});

test("without a budget nothing is measured or shed, and what others say is heeded", async () => {
  const { disk, world, look } = budgeted({ files: 1_000 * MIB }, { budget: null });
  Object.assign(world, { role: "follower", leader: "b", members: ["a", "b", "c"] });
  expect(await look()).toEqual([]);
  expect(disk.status()).toMatchObject({ budget: null, files: null, used: null, next: null, refuses: null });
  world.othersFull = [node("b")];
  await look();
  expect(disk.refusal(PUT)).toMatchObject({ code: "STORAGE_FULL" });
});

test("a look that fails is told and made again; after the stop there is none", async () => {
  const { disk, world, start, due, failures } = budgeted({ files: 99 * MIB }, { pinned: true });
  const use = world.use;
  Object.defineProperty(world, "use", {
    configurable: true,
    get: () => {
      throw new OpenClawError("STORAGE_FAILED", "listing");
    },
  });
  await start();
  expect(failures.map(({ code }) => code)).toEqual(["STORAGE_FAILED"]);
  expect(disk.status().full).toBe(false);
  Object.defineProperty(world, "use", { value: use, writable: true });
  due();
  await new Promise((resolve) => setImmediate(resolve));
  expect(disk.status().full).toBe(true);
  disk.stop();
  due();
  expect(failures.length).toBe(1);
});
