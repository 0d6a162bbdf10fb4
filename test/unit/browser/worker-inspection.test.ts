/** A page's worker reads and checks what came from a site. */
import { changeFault, PLAIN_TOOLS } from "@openclaw/core/documents/change-check.ts";
import { PARTITION, revision } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { expect, test } from "vitest";
import { changesOf } from "../documents/changes.ts";
import { codeOf } from "../sync/code-of.ts";
import { DeviceMemoryStore, pageOver } from "./threads.ts";

const [good] = changesOf("aabb", (draft) => Object.assign(draft, { mine: 1 }));
if (good === undefined) throw new Error("a change was made");
/** Its checksum is wrong. */
const bad: DocumentChange = { ...good, bytes: good.bytes.map((byte, i) => (i === 4 ? byte ^ 1 : byte)) };

const recordOf = (...changes: readonly DocumentChange[]): Uint8Array =>
  encodeRecord({
    partition: PARTITION,
    revision: revision(1),
    salt: new Uint8Array(16),
    home: "site",
    origin: null,
    link: null,
    time: 0,
    principal: "anonymous",
    events: changes.map((change) => ({
      kind: "change",
      collection: "log",
      document: "today",
      change,
      encryption: null,
    })),
  });

test("D1: each change has its finding, in its place, in records and alone", async () => {
  const { client } = pageOver(async () => new DeviceMemoryStore());
  const fault = changeFault(bad, PLAIN_TOOLS);
  expect(fault?.code).toBe("CHANGE_INVALID");
  const records = [recordOf(good, bad), recordOf(good)];
  const read = await client.inspection.records(records);
  expect(read.map(({ findings }) => findings)).toEqual([[null, fault], [null]]);
  expect(read[0]?.record.events.map((event) => (event.kind === "change" ? event.change : null))).toEqual([good, bad]);
  expect(await client.inspection.changes([bad, good])).toEqual([fault, null]);
  // What was given is still the page's.
  expect(records[1]).toEqual(recordOf(good));
});

test("what is no record is refused by its code, and the next one is read", async () => {
  const { client } = pageOver(async () => new DeviceMemoryStore());
  expect(await codeOf(client.inspection.records([new Uint8Array(40)]))).toBe("MALFORMED_FRAME");
  expect(await client.inspection.records([recordOf(good)])).toHaveLength(1);
});

test("what a dead worker was asked, its successor is", async () => {
  const page = pageOver(async () => new DeviceMemoryStore());
  const asked = page.client.inspection.changes([bad]);
  page.kill();
  expect((await asked)[0]?.code).toBe("CHANGE_INVALID");
  expect(page.started()).toBe(2);
});
