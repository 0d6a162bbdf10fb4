/** Long reads in the state's worker: in slices, from one position, while entries are applied. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { plainRange, type RangeRequest } from "@openclaw/core/state-machine/operation.ts";
import type { Query } from "@openclaw/core/state-machine/query.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import { commandsAt, STATE_CLUSTER, STATE_EPOCH, STATE_MEMBERSHIP, STATE_NODE } from "../../contracts/state-store.ts";
import { temporaryFolder } from "./storage-fixture.ts";

const KEYS = 8_000;
const BATCH = 1_000;

const name = (i: number): Uint8Array => utf8(`k${String(i).padStart(6, "0")}`);
const put = (i: number, value: string): UserCommand => ({ kind: "put", key: name(i), value: utf8(value) });
const all: Query = { kind: "range", origin: null, ...plainRange(utf8("k"), null, 0) };
const asked = (changed: Partial<RangeRequest>): Query => ({ ...all, ...changed });

async function full(): Promise<SqliteStateStore> {
  const dataDir = temporaryFolder();
  const [cluster, epoch, membership] = [STATE_CLUSTER, STATE_EPOCH, STATE_MEMBERSHIP];
  const store = new SqliteStateStore({ dataDir, cluster, node: STATE_NODE, epoch, membership });
  await store.open();
  onTestFinished(() => store.close());
  for (let at = 0; at < KEYS / BATCH; at++)
    await store.apply([
      commandsAt(
        at + 1,
        Array.from({ length: BATCH }, (_, i) => put(at * BATCH + i, "old")),
      ),
    ]);
  return store;
}

const remove = (i: number): UserCommand => ({ kind: "deleteRange", keys: { kind: "key", key: name(i) } });
/** Writes before, behind and where a read is; each is an entry of its own. */
const changes = (at: number): readonly UserCommand[] => [
  put(at, "new"),
  put(KEYS / 2 + at, "new"),
  put(KEYS + at, "new"),
  remove(KEYS - 1 - at),
  remove(KEYS / 4 + at),
];

const NEWEST = {
  minModRevision: revision(KEYS - 10),
  maxModRevision: revision(0),
  minCreateRevision: revision(0),
  maxCreateRevision: revision(0),
};

describe("a read that looks at every key", () => {
  const reads: readonly (readonly [string, Query])[] = [
    ["counts", asked({ view: "count" })],
    ["sorts by value", asked({ sort: { target: "value", order: "descending" }, limit: 100 })],
    ["is bounded by revision", asked({ limit: 5, bounds: NEWEST })],
    ["hashes", { kind: "stateHash" }],
  ];
  for (const [what, question] of reads) {
    test(`X1, R6: ${what}: applies that come later are answered before it, and it answers from where it began`, async () => {
      const store = await full();
      const before = await store.read(question);
      const order: string[] = [];
      const reading = store.read(question).then((answer) => {
        order.push("read");
        return answer;
      });
      const applies = Array.from({ length: 5 }, (_, i) =>
        store.apply([commandsAt(KEYS / BATCH + 1 + i, changes(i))]).then(() => void order.push("apply")),
      );
      expect(await reading).toEqual(before);
      await Promise.all(applies);
      expect(order).toEqual(["apply", "apply", "apply", "apply", "apply", "read"]);
      expect(await store.read(question)).not.toEqual(before);
    });
  }

  test("X1: a state that is closed under a long read answers it STOPPED", async () => {
    const store = await full();
    const reading = store.read(asked({ view: "count" }));
    const refused = expect(reading).rejects.toMatchObject({ code: "STOPPED" });
    await store.close();
    await refused;
  });

  test("X1: more of them than may be under way are OVERLOADED; short reads are answered; all are counted", async () => {
    const store = await full();
    const outcomes = Array.from({ length: 80 }, () =>
      store.read(asked({ view: "count" })).then(
        () => "answered",
        (error: { readonly code: string }) => error.code,
      ),
    );
    expect(store.reads).toBe(80);
    expect((await store.read({ kind: "get", origin: null, key: name(1) })).row?.version).toBe(1);
    const codes = await Promise.all(outcomes);
    expect(codes.filter((code) => code === "answered")).toHaveLength(64);
    expect(codes.filter((code) => code === "OVERLOADED")).toHaveLength(16);
    expect(store.reads).toBe(0);
  });
});
