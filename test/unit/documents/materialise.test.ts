import * as Automerge from "@automerge/automerge";
import type { ActorId, ChangeHash } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import type { Answer, Query, QueryAnswers } from "@openclaw/core/state-machine/query.ts";
import type { DocumentOperation, Finish } from "@openclaw/edge-runtime/documents/job.ts";
import { type DocumentSource, type Materialised, Materialiser } from "@openclaw/edge-runtime/documents/materialise.ts";
import { afterEach, describe, expect, test } from "vitest";
import { changesOf, type Doc, type Draft, described } from "./changes.ts";

/** A state that holds one document's accepted changes in order and counts what is read of them. */
class Source implements DocumentSource {
  changes: DocumentChange[];
  read_ = 0;

  constructor(changes: DocumentChange[]) {
    this.changes = changes;
  }
  async read<Q extends Query>(query: Q): Promise<Answer<Q>> {
    if (query.kind !== "document") throw new Error("only documents here");
    const page = this.changes.slice(query.after, query.after + query.limit);
    this.read_ += page.length;
    const position = Math.min(query.after + page.length, this.changes.length);
    const deps = new Set(this.changes.flatMap((change) => change.deps));
    const heads = this.changes.map(({ hash }) => hash).filter((hash) => !deps.has(hash));
    const answer: QueryAnswers["document"] = {
      changes: page,
      position,
      more: position < this.changes.length,
      heads,
      pending: 0,
      quarantined: [],
    };
    return answer as Answer<Q>;
  }
  async history(): Promise<never> {
    throw new Error("only the present here");
  }
}

const opened: Materialiser[] = [];
afterEach(async () => {
  for (const materialiser of opened.splice(0)) await materialiser.stop();
});

function open(changes: DocumentChange[]): { source: Source; materialiser: Materialiser } {
  const source = new Source(changes);
  const materialiser = new Materialiser(source);
  opened.push(materialiser);
  return { source, materialiser };
}

const JSON_: Finish = { kind: "json" };
const json = ({ output }: Materialised): unknown => {
  if (output.kind !== "json") throw new Error("JSON was asked for");
  return JSON.parse(output.text);
};

describe("materialise", () => {
  test("a document is put together from pages, and then only from what is new", async () => {
    const edits = Array.from({ length: 1_300 }, (_, i) => (draft: Draft) => Object.assign(draft, { [`k${i % 7}`]: i }));
    const all = changesOf("aabb", ...edits);
    const { source, materialiser } = open(all.slice(0, 1_299));
    const first = await materialiser.materialise("c", "d", JSON_);
    expect(first.position).toBe(1_299);
    expect(source.read_).toBe(1_299);
    source.changes = all;
    const second = await materialiser.materialise("c", "d", JSON_);
    expect(source.read_).toBe(1_300);
    expect(second.heads).toEqual([all.at(-1)?.hash]);
    expect(json(second)).toMatchObject({ k4: 1_299 - ((1_299 - 4) % 7) });
  });

  test("concurrent readers of one document do not trip over each other", async () => {
    const { materialiser } = open(changesOf("aabb", (draft) => Object.assign(draft, { text: "hello" })));
    const many = await Promise.all(Array.from({ length: 20 }, () => materialiser.materialise("c", "d", JSON_)));
    for (const each of many) expect(json(each)).toEqual({ text: "hello" });
  });

  test("a state that was replaced is read anew", async () => {
    const { source, materialiser } = open(
      changesOf(
        "aabb",
        (d) => Object.assign(d, { a: 1 }),
        (d) => Object.assign(d, { b: 2 }),
      ),
    );
    await materialiser.materialise("c", "d", JSON_);
    source.changes = changesOf("ccdd", (d) => Object.assign(d, { other: true }));
    expect(json(await materialiser.materialise("c", "d", JSON_))).toEqual({ other: true });
  });

  test("what has no JSON form becomes its nearest one, and the bytes are exact", async () => {
    const at = new Date(86_400_000);
    const { materialiser } = open(
      changesOf("aabb", (d) =>
        Object.assign(d, { bytes: Uint8Array.of(1, 2), at, n: new Automerge.Counter(3), x: null }),
      ),
    );
    expect(json(await materialiser.materialise("c", "d", JSON_))).toEqual({
      bytes: "AQI=",
      at: at.toISOString(),
      n: 3,
      x: null,
    });
    const { output } = await materialiser.materialise("c", "d", { kind: "bytes" });
    if (output.kind !== "bytes") throw new Error("bytes were asked for");
    expect(Automerge.load<{ bytes: Uint8Array }>(output.bytes).bytes).toEqual(Uint8Array.of(1, 2));
  });

  test("a change that decodes but refers to nothing is left out, and the rest is served", async () => {
    const [base] = changesOf("aabb", (draft) => Object.assign(draft, { map: {} }));
    if (base === undefined) throw new Error("a change was made");
    let doc: Doc = Automerge.init({ actor: "ccdd" });
    [doc] = Automerge.applyChanges(doc, [base.bytes]);
    const edited = Automerge.change(doc, (draft) => Object.assign(draft.map as Draft, { x: 1 }));
    const bytes = Automerge.getLastLocalChange(edited);
    if (bytes === undefined) throw new Error("a change was made");
    const good = described(bytes);
    const decoded = Automerge.decodeChange(bytes);
    const poison = (actor: string) =>
      described(
        Automerge.encodeChange({ ...decoded, actor, ops: decoded.ops.map((op) => ({ ...op, obj: "77@aabb" })) }),
      );
    const { materialiser } = open([base, poison("eeff"), good, poison("ffee")]);
    const whole = await materialiser.materialise("c", "d", JSON_);
    expect(json(whole)).toEqual({ map: { x: 1 } });
    expect(whole.refused).toEqual([poison("eeff").hash, poison("ffee").hash]);
  });

  test("no document is the empty one at position 0", async () => {
    const none = await open([]).materialiser.materialise("c", "d", JSON_);
    expect(none).toMatchObject({ position: 0, heads: [] });
    expect(json(none)).toEqual({});
  });
});

describe("fork", () => {
  const edit = async (changes: DocumentChange[], operations: DocumentOperation[]) => {
    const { materialiser } = open(changes);
    const { output } = await materialiser.materialise("c", "d", { kind: "fork", actor: "0102", time: 7, operations });
    if (output.kind !== "fork") throw new Error("a fork was asked for");
    return output.change;
  };
  const result = (changes: DocumentChange[]) => {
    const [doc] = Automerge.applyChanges(
      Automerge.init<Record<string, unknown>>(),
      changes.map(({ bytes }) => bytes),
    );
    return Automerge.toJS(doc);
  };
  const base = changesOf("aabb", (d) => Object.assign(d, { text: "shift", list: [1, 2, 3], map: { a: { b: 1 } } }));

  test("operations become one change that depends on the heads", async () => {
    const change = await edit(base, [
      { op: "splice", path: ["text"], index: 5, delete: 0, insert: " log" },
      { op: "splice", path: ["list"], index: 1, delete: 1, insert: ["two", "2½"] },
      { op: "put", path: ["map", "a", "c"], value: { deep: [true] } },
      { op: "put", path: ["list", 4], value: "end" },
      { op: "delete", path: ["map", "a", "b"] },
    ]);
    if (change === null) throw new Error("it changes something");
    expect(change).toMatchObject({ actor: "0102" as ActorId, seq: 1, deps: base.map(({ hash }): ChangeHash => hash) });
    expect(result([...base, change])).toEqual({
      text: "shift log",
      list: [1, "two", "2½", 3, "end"],
      map: { a: { c: { deep: [true] } } },
    });
  });

  test("an absent document begins with the operations", async () => {
    const change = await edit([], [{ op: "put", path: ["title"], value: "new" }]);
    if (change === null) throw new Error("it changes something");
    expect(change.deps).toEqual([]);
    expect(result([change])).toEqual({ title: "new" });
  });

  test("what changes nothing is no change", async () => {
    expect(await edit(base, [{ op: "splice", path: ["text"], index: 0, delete: 0, insert: "" }])).toBeNull();
  });

  test.each<[string, DocumentOperation]>([
    ["an empty path", { op: "put", path: [], value: 1 }],
    ["a path to nowhere", { op: "put", path: ["no", "where"], value: 1 }],
    ["a path into a text", { op: "put", path: ["text", 0], value: "x" }],
    ["an index beyond the list", { op: "put", path: ["list", 9], value: 1 }],
    ["a number in a map", { op: "put", path: ["map", 1], value: 1 }],
    ["a range beyond the text", { op: "splice", path: ["text"], index: 3, delete: 9, insert: "" }],
    ["a list for a text", { op: "splice", path: ["text"], index: 0, delete: 0, insert: [1] }],
    ["deleting nothing", { op: "delete", path: ["nothing"] }],
    ["__proto__ (pitfall 49)", { op: "put", path: ["__proto__", "polluted"], value: 1 }],
    ["a number that no JavaScript holds", { op: "put", path: ["n"], value: 2 ** 60 }],
  ])("%s is BAD_REQUEST, and the document stays as it was", async (_, operation) => {
    const { materialiser } = open(base);
    const bad = materialiser.materialise("c", "d", { kind: "fork", actor: "0102", time: 7, operations: [operation] });
    await expect(bad).rejects.toMatchObject({ code: "BAD_REQUEST" });
    expect(json(await materialiser.materialise("c", "d", JSON_))).toEqual(result(base));
  });
});
