/** Commands on their way into the log: what is offered fits an entry, and what is over leaves nothing behind. */
import {
  type ActorId,
  type ChangeHash,
  type ClusterId,
  type LeaseId,
  type LinkId,
  revision,
  type SessionId,
  seq,
} from "@openclaw/core/ids.ts";
import { CHANGE_BYTES_MAX, DEPS_MAX } from "@openclaw/core/limits.ts";
import { PROPOSAL_BYTES_MAX } from "@openclaw/core/raft/raft.ts";
import { Proposals } from "@openclaw/core/replica/proposals.ts";
import type { ImportedCommand, SystemCommand, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { expect, test } from "vitest";
import { SeededRandom } from "../simulation/seeded-random.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";

const random = new SeededRandom(1);
const hex = (bytes: number): string => Buffer.from(random.bytes(bytes)).toString("hex");
const SESSION = hex(16) as SessionId;

function proposals(clock = new VirtualClock()): Proposals {
  const made = new Proposals(clock, random);
  made.adopt(SESSION);
  return made;
}

const change = (changes: number, deps: number, bytes: number): UserCommand => ({
  kind: "change",
  collection: "ü".repeat(100),
  document: "x".repeat(100),
  changes: Array.from({ length: changes }, (_, i) => ({
    hash: hex(32) as ChangeHash,
    actor: hex(128) as ActorId,
    seq: i + 1,
    deps: Array.from({ length: deps }, () => "ab".repeat(32) as ChangeHash),
    bytes: new Uint8Array(bytes),
  })),
});
const imported = (commands: readonly ImportedCommand[]): SystemCommand => ({
  kind: "importCommands",
  link: hex(16) as LinkId,
  from: seq(1),
  lowWater: seq(1),
  commands,
});

/** What, from whom, and how often. */
const BODIES: readonly [string, UserCommand | SystemCommand, string, number][] = [
  [
    "a put of a caller with a long name",
    { kind: "put", key: new Uint8Array(1), value: new Uint8Array(1) },
    "ü".repeat(8_192),
    300,
  ],
  ["changes with many dependencies", change(4, DEPS_MAX, 32 * DEPS_MAX), "tester", 4],
  ["a push of many such changes", change(50, DEPS_MAX, 32 * DEPS_MAX), "tester", 4],
  ["small changes of long actors", change(1_024, 1, 1), "tester", 30],
  ["large changes", change(3, 0, CHANGE_BYTES_MAX), "tester", 4],
  [
    "a client's changes",
    imported([change(60, DEPS_MAX, 32 * DEPS_MAX)].filter((body) => body.kind === "change")),
    "tester",
    4,
  ],
  [
    "refusals",
    imported(Array.from({ length: 1_024 }, () => ({ kind: "refused", code: "FORBIDDEN", details: "ü".repeat(900) }))),
    "tester",
    20,
  ],
];

for (const [what, body, principal, times] of BODIES) {
  test(`X1: a batch of them fits an entry: ${what}`, async () => {
    const waiting = proposals();
    const submit = async (): Promise<void> => {
      await waiting.submit(body, principal, 1_000);
    };
    let refusal: unknown = null;
    for (let i = 0; i < times; i++) submit().catch((error: unknown) => (refusal ??= error));
    await Promise.resolve();
    while (waiting.queued) expect(encodeCommands(waiting.take()).length).toBeLessThanOrEqual(PROPOSAL_BYTES_MAX);
    if (refusal !== null) expect(["OVERLOADED", "FRAME_TOO_LARGE"]).toContain((refusal as { code: string }).code);
  });
}

test("L4: the record of the largest command fits an import at every tier above", async () => {
  const accepts = (body: UserCommand | SystemCommand): boolean => {
    try {
      proposals()
        .submit(body, "tester", 1_000)
        .catch(() => undefined);
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: "FRAME_TOO_LARGE" });
      return false;
    }
  };
  const push = (bytes: number): UserCommand => change(4, 0, Math.floor(bytes / 4));
  let [fits, tooLarge] = [0, PROPOSAL_BYTES_MAX];
  while (tooLarge - fits > 4) {
    const middle = (fits + tooLarge) >>> 1;
    if (accepts(push(middle))) fits = middle;
    else tooLarge = middle;
  }
  expect(fits).toBeGreaterThan(3 * CHANGE_BYTES_MAX);
  // Every tier adds where it came from.
  const record = new Uint8Array(fits + 10_000);
  const items = [{ kind: "body", revision: revision(1), record } as const];
  const epoch = { counter: 1, nonce: hex(16), parent: null, departure: revision(0) };
  const site = "site" as ClusterId;
  const link = "site" as LinkId;
  expect(
    accepts({
      kind: "importLedger",
      side: "child",
      link,
      cluster: site,
      epoch,
      items,
      hash: new Uint8Array(32),
      after: null,
    }),
  ).toBe(true);
});

/** A new kind is missed here by the compiler. */
const USER_COMMANDS: Readonly<Record<UserCommand["kind"], UserCommand>> = {
  put: { kind: "put", key: new Uint8Array(1), value: new Uint8Array(1) },
  deleteRange: { kind: "deleteRange", keys: { kind: "key", key: new Uint8Array(1) } },
  txn: { kind: "txn", compares: [], success: [], failure: [] },
  leaseGrant: { kind: "leaseGrant", lease: 1 as LeaseId, ttlMs: 1_000 },
  leaseKeepAlive: { kind: "leaseKeepAlive", lease: 1 as LeaseId },
  leaseRevoke: { kind: "leaseRevoke", lease: 1 as LeaseId },
  compact: { kind: "compact", revision: revision(1) },
  setHome: { kind: "setHome", prefix: new Uint8Array(1), home: "hub", without: [] },
  addressed: {
    kind: "addressed",
    to: "site" as ClusterId,
    command: { kind: "put", key: new Uint8Array(1), value: new Uint8Array(1) },
  },
  change: change(1, 0, 1),
};

test.each(Object.entries(USER_COMMANDS))(
  "Q1: a %s that is offered again is the same step of the session",
  (_, body) => {
    const clock = new VirtualClock();
    const waiting = proposals(clock);
    waiting.submit(body, "tester", 10_000).catch(() => undefined);
    const [first] = waiting.take();
    clock.step(2_000);
    waiting.tick();
    const [again] = waiting.take();
    expect(first?.header.session).toMatchObject({ id: SESSION });
    expect(again?.header.session).toEqual(first?.header.session);
  },
);

test("X1: what was given up while nobody led is not kept", async () => {
  const clock = new VirtualClock();
  const waiting = proposals(clock);
  const refused = waiting
    .submit({ kind: "openSession", session: SESSION }, "tester", 1_000)
    .catch((error: { code: string }) => error.code);
  clock.step(2_000);
  waiting.tick();
  expect(await refused).toBe("UNAVAILABLE");
  expect(waiting.queued).toBe(false);
});

test("Q1: a session that another has replaced does not expire that one", () => {
  const waiting = proposals();
  const next = hex(16) as SessionId;
  waiting.adopt(next);
  waiting.expired(SESSION);
  expect(waiting.session).toBe(next);
  waiting.expired(next);
  expect(waiting.session).toBe(null);
});
