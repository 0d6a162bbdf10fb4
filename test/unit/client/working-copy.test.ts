import * as Automerge from "@automerge/automerge";
import { toHex } from "@openclaw/core/bytes.ts";
import { changesSince } from "@openclaw/core/client/changes.ts";
import { Forks } from "@openclaw/core/client/forks.ts";
import * as replay from "@openclaw/core/client/replay.ts";
import { type Content, WorkingCopy } from "@openclaw/core/client/working-copy.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { describe, expect, test, vi } from "vitest";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { VirtualClock } from "../../simulation/virtual-clock.ts";
import { described } from "../documents/changes.ts";

type Doc = Automerge.Doc<Content>;

const ACTORS = ["a1", "b2", "c3"].map((name) => name.repeat(16));
const BEGINNING = { text: "a text", count: 0, list: [{ note: "inner" }, "plain"], deep: { text: "deep 😀" } };
const PATHS: readonly Automerge.Prop[][] = [["text"], ["text"], ["deep", "text"], ["list", 0, "note"]];
const WORDS = ["a", "bcd", "é", "😀", "👩‍👩‍👧", "\n", "ab😀cd", "e\u0301"];

const genesis = (): DocumentChange[] => {
  // Behind the others' in Automerge's order, in which a name that comes anew moves it on.
  const doc = Automerge.change(Automerge.init<Content>({ actor: "dd" }), { time: 0 }, (draft) => {
    Object.assign(draft, structuredClone(BEGINNING));
  });
  return Automerge.getAllChanges(doc).map(described);
};

function copyOf(actor: string, changes: readonly DocumentChange[] = genesis(), clock = new VirtualClock()) {
  const copy = new WorkingCopy(Automerge.init<Content>({ actor }), new Forks(clock), () => replay);
  copy.take(changes);
  return copy;
}

/** What Automerge alone makes of them, in whatever order they are. */
function plain(changes: readonly DocumentChange[]): Doc {
  const [doc] = Automerge.applyChanges(
    Automerge.init<Content>({ actor: "ff" }),
    changes.map(({ bytes }) => bytes),
  );
  return doc;
}

const insertInto = (draft: Content, text: string): void => Automerge.splice(draft, ["text"], 0, 0, text);

const insert =
  (at: number, text: string, path: Automerge.Prop[] = ["text"]) =>
  (doc: Doc): Doc =>
    Automerge.change(doc, { time: 7 }, (draft) => Automerge.splice(draft, path, at, 0, text));

const textAt = (doc: Doc, path: readonly Automerge.Prop[]): string =>
  String(path.reduce<unknown>((at, prop) => (at as Record<string, unknown>)[prop], doc));

/** An edit of any kind, on whatever there is. */
function anyEdit(random: SeededRandom): (doc: Doc) => Doc {
  const upTo = (count: number): number => Math.floor(random.unit() * count);
  const path = [...(PATHS[upTo(PATHS.length)] ?? [])];
  const word = WORDS[upTo(WORDS.length)] ?? "";
  const kind = upTo(9);
  const message = random.unit() < 0.2 ? { message: "why" } : {};
  return (doc) => {
    const text = textAt(doc, path);
    // As an app does, which knows what a person sees as one character.
    const places = [...new Intl.Segmenter("en").segment(text)].map(({ index }) => index);
    const at = places[upTo(places.length)] ?? 0;
    const end = places.find((place) => place > at) ?? text.length;
    const known = Automerge.getChangesMetaSince(doc, []);
    const heads = random.unit() < 0.1 ? [known[upTo(known.length)]?.hash ?? ""] : Automerge.getHeads(doc);
    const make = (draft: Content): void => {
      const count = draft.count;
      if (kind < 3) Automerge.splice(draft, path, at, 0, word);
      else if (kind === 3) Automerge.splice(draft, path, at, end - at);
      else if (kind === 4) Automerge.splice(draft, path, at, end - at, word);
      else if (kind === 5) Automerge.updateText(draft, path, text.slice(0, at) + word + text.slice(end));
      else if (kind === 6) draft.count = Number(count) + 1;
      else if (kind === 7)
        Automerge.mark(draft, path, { start: 0, end: Math.min(2, text.length), expand: "both" }, "bold", true);
      else {
        Automerge.splice(draft, path, 0, 0, word);
        Automerge.splice(draft, path, 0, 0, "zz");
        Automerge.splice(draft, path, 1, 1);
      }
      if (random.unit() < 0.05) throw new RangeError("on purpose");
    };
    return Automerge.changeAt(doc, heads, { time: upTo(1e9), ...message }, make).newDoc;
  };
}

/** Some fail on purpose, and some as the text was shorter at the heads that they go back to. */
function editedOrNot(copy: WorkingCopy, edit: (doc: Doc) => Doc): readonly DocumentChange[] {
  const before = copy.doc;
  try {
    return copy.edit(edit);
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    expect(copy.doc).toBe(before);
    return [];
  }
}

/** Of its changes, in an order that does not depend on how they came. */
const bytesOf = (doc: Doc): readonly string[] => Automerge.getAllChanges(doc).map(toHex).sort();

const isUnderAnothersName = ({ doc }: WorkingCopy, own: string): boolean => Automerge.getActorId(doc) !== own;

describe("a working copy", () => {
  test.each(Array.from({ length: 12 }, (_, seed) => seed + 1))(
    "is what Automerge makes of the same changes, whatever they are and however they come (seed %i)",
    (seed) => {
      const random = new SeededRandom(seed);
      const upTo = (count: number): number => Math.floor(random.unit() * count);
      const copies = ACTORS.map((actor) => copyOf(actor));
      const made: DocumentChange[] = genesis();
      // Of each: what it has yet to hear of.
      const waiting: DocumentChange[][] = ACTORS.map(() => []);
      let replayed = 0;
      for (let step = 0; step < 250; step++) {
        const at = upTo(ACTORS.length);
        const copy = copies[at];
        const heard = waiting[at];
        if (copy === undefined || heard === undefined) throw new Error();
        if (random.unit() < 0.5) {
          // As a rule people write one after the other.
          if (random.unit() < 0.8) copy.take(heard.splice(0));
          const changes = editedOrNot(copy, anyEdit(random));
          for (const [i, all] of waiting.entries()) if (i !== at) all.push(...changes);
          made.push(...changes);
          expect(copy.doc).toEqual(Automerge.toJS(copy.doc));
          continue;
        }
        // Some of it, now and then before what it follows, or once more.
        const first = random.unit() < 0.15 ? upTo(heard.length) : 0;
        const taken = heard.splice(first, 1 + upTo(random.unit() < 0.1 ? 20 : 3));
        if (random.unit() < 0.1) heard.push(...taken);
        copy.take(taken);
        expect(copy.doc).toEqual(Automerge.toJS(copy.doc));
        if (isUnderAnothersName(copy, ACTORS[at] ?? "")) replayed++;
      }
      for (const [i, copy] of copies.entries()) copy.take(waiting[i] ?? []);
      const expected = plain(made);
      for (const { doc } of copies) {
        expect(doc).toEqual(expected);
        expect(Automerge.getHeads(doc).sort()).toEqual(Automerge.getHeads(expected).sort());
        expect(bytesOf(doc)).toEqual(bytesOf(expected));
        expect(Automerge.load(Automerge.save(doc))).toEqual(expected);
      }
      expect(replayed).toBeGreaterThan(20);
    },
  );

  test("makes what an author goes on to write once more, and is under the author's name meanwhile", () => {
    const [own = "", other = ""] = ACTORS;
    const [copy, author] = [copyOf(own), copyOf(other)];
    for (let i = 0; i < 20; i++) {
      copy.take(author.edit(insert(3 * i, "one")));
      expect([Automerge.getActorId(copy.doc), copy.doc]).toEqual([other, author.doc]);
    }
    const [edited] = copy.edit(insert(0, "mine "));
    expect([edited?.actor, edited?.seq]).toEqual([own, 1]);
  });

  test("applies what comes until the code for more is here, and goes on from there with that", () => {
    const [own = "", other = ""] = ACTORS;
    let loaded: typeof replay | null = null;
    const copy = new WorkingCopy(Automerge.init<Content>({ actor: own }), new Forks(new VirtualClock()), () => loaded);
    const author = copyOf(other);
    copy.take(genesis());
    copy.take(author.edit(insert(0, "one")));
    expect([Automerge.getActorId(copy.doc), copy.doc]).toEqual([own, author.doc]);
    loaded = replay;
    copy.take(author.edit(insert(3, "two")));
    expect([Automerge.getActorId(copy.doc), copy.doc]).toEqual([other, author.doc]);
  });

  test("edits under its own name, also at earlier heads, with what others wrote in between", () => {
    const [own = "", other = ""] = ACTORS;
    const [copy, author] = [copyOf(own), copyOf(other)];
    const begun = Automerge.getHeads(copy.doc);
    const numbers = Array.from({ length: 5 }, () => {
      copy.take(author.edit(insert(0, "x")));
      const [made] = copy.edit(insert(0, "y"));
      author.take(made === undefined ? [] : [made]);
      return [made?.actor, made?.seq];
    });
    expect(numbers).toEqual([1, 2, 3, 4, 5].map((seq) => [own, seq]));
    copy.take(author.edit(insert(0, "x")));
    const [earlier] = copy.edit(
      (doc) => Automerge.changeAt(doc, begun, (draft) => Automerge.splice(draft, ["text"], 0, 0, "z")).newDoc,
    );
    expect([earlier?.deps, earlier?.actor === other]).toEqual([begun, false]);
  });

  test("shows an edit at earlier heads, and all that was written since, once", () => {
    const [own = "", other = ""] = ACTORS;
    const begun = changesSince(Automerge.from<Content>({ text: "" }, { actor: "ee" }), []);
    const [copy, author] = [copyOf(own, begun), copyOf(other, begun)];
    const mine = copy.edit(insert(0, "def"));
    author.take(mine);
    const theirs = author.edit(insert(0, "ghi"));
    copy.take(theirs);
    const heads = begun.map(({ hash }) => hash);
    const earlier = copy.edit((doc) => Automerge.changeAt(doc, heads, (draft) => insertInto(draft, "abc")).newDoc);
    expect(copy.doc).toEqual(plain([...begun, ...mine, ...theirs, ...earlier]));
  });

  test("shows a change that came before what it follows, also where that is written on by its author", () => {
    const [own = "", other = ""] = ACTORS;
    const [copy, author] = [copyOf(own), copyOf(other)];
    const [first, second, third] = [1, 2, 3].map((i) => author.edit(insert(0, String(i)))[0]);
    if (first === undefined || second === undefined || third === undefined) throw new Error();
    copy.take([third]);
    copy.take([first]);
    const mine = copy.edit(insert(0, "mine"));
    copy.take([second]);
    expect(copy.doc).toEqual(plain([...genesis(), first, second, third, ...mine]));
  });

  describe("given a change that says what none that is made here says", () => {
    /** Two characters in one operation: Automerge takes it, and makes two of them. */
    function odd(author: WorkingCopy, actor: string): DocumentChange {
      const [made] = author.edit(insert(0, "q"));
      if (made === undefined) throw new Error();
      const decoded = Automerge.decodeChange(made.bytes);
      const ops = decoded.ops.map((op) => ({ ...op, value: "qq" }));
      return described(Automerge.encodeChange({ ...decoded, actor, ops }));
    }

    test("takes it as it is", () => {
      const [own = "", other = ""] = ACTORS;
      const copy = copyOf(own);
      const change = odd(copyOf(other), other);
      copy.take([change]);
      expect([copy.doc.text, Automerge.getHeads(copy.doc)]).toEqual(["qqa text", [change.hash]]);
    });

    test("takes it as it is also where it had the author's name already, and all that follows", () => {
      const [own = "", other = ""] = ACTORS;
      const [copy, author] = [copyOf(own), copyOf(other)];
      const before = author.edit(insert(0, "p"));
      copy.take(before);
      const change = odd(author, other);
      copy.take([change]);
      const expected = plain([...genesis(), ...before, change]);
      expect(copy.doc).toEqual(expected);
      expect(bytesOf(copy.doc)).toEqual(bytesOf(expected));
      const then = insert(0, "r")(Automerge.clone(expected, { actor: other }));
      copy.take(Automerge.getChangesSince(then, [change.hash]).map(described));
      expect([copy.doc, Automerge.getActorId(copy.doc) === other]).toEqual([then, false]);
      const [mine] = copy.edit(insert(0, "mine"));
      expect([mine?.actor, mine?.seq, copy.doc.text]).toEqual([own, 1, `mine${then.text}`]);
    });

    test("takes one of a time that is no number here", () => {
      const [own = "", other = ""] = ACTORS;
      const copy = copyOf(own);
      const edited = Automerge.change(copyOf(other).doc, { time: 2 ** 53 }, (draft) =>
        Automerge.splice(draft, ["text"], 0, 0, "x"),
      );
      copy.take(changesSince(edited, Automerge.getHeads(copy.doc)));
      expect(copy.doc).toEqual(edited);
    });
  });

  test("forks nothing for a text that is not in the document any more", () => {
    const [own = "", other = ""] = ACTORS;
    const begun = changesSince(Automerge.from<Content>({ text: "before" }, { actor: "00" }), []);
    const author = copyOf(other, begun);
    const before = Automerge.getObjectId(author.doc, "text") ?? "";
    const replaced = author.edit((doc) => Automerge.change(doc, (draft) => Object.assign(draft, { text: "now" })));
    const heads = Automerge.getHeads(author.doc);
    const made = Automerge.decodeChange(author.edit(insert(0, "x"))[0]?.bytes ?? new Uint8Array());
    const late = described(
      Automerge.encodeChange({ ...made, deps: heads, ops: made.ops.map((op) => ({ ...op, obj: before })) }),
    );
    const forks = new Forks(new VirtualClock());
    const copy = new WorkingCopy(Automerge.init<Content>({ actor: own }), forks, () => replay);
    copy.take([...begun, ...replaced]);
    const take = vi.spyOn(forks, "take");
    copy.take([late]);
    expect(take.mock.calls).toEqual([]);
    expect(copy.doc).toEqual(plain([...begun, ...replaced, late]));
  });

  test.each<[string, Content, Automerge.Prop[]]>([
    ["first in a list", { list: ["a text", "another"] }, ["list", 0]],
    [
      "behind what is an object in JavaScript alone",
      { a: new Automerge.ImmutableString("a"), b: new Date(0), c: new Uint8Array(1), deep: { text: "" } },
      ["deep", "text"],
    ],
    [
      "behind a great many others",
      { a: Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`k${i}`, ""])), deep: { text: "" } },
      ["deep", "text"],
    ],
  ])("makes a text once more that is %s", (_, content, path) => {
    const [own = "", other = ""] = ACTORS;
    const begun = changesSince(Automerge.from<Content>(content, { actor: "00" }), []);
    const [copy, author] = [copyOf(own, begun), copyOf(other, begun)];
    copy.take(author.edit(insert(0, "x", path)));
    expect([copy.doc, Automerge.getActorId(copy.doc)]).toEqual([author.doc, other]);
  });

  test("takes what is inserted into a list that begins with a text, and is no text", () => {
    const [own = "", other = ""] = ACTORS;
    const begun = changesSince(Automerge.from<Content>({ text: "", list: ["a text"] }, { actor: "00" }), []);
    const [copy, author] = [copyOf(own, begun), copyOf(other, begun)];
    copy.take(author.edit(insert(0, "x")));
    const made = author.edit((doc) =>
      Automerge.change(doc, ({ list }) => void (list as unknown[]).unshift(new Automerge.ImmutableString("no text"))),
    );
    copy.take(made);
    expect(copy.doc).toEqual(author.doc);
    // What is a text is made once more from then on, too.
    copy.take(author.edit(insert(0, "x")));
    expect(Automerge.getActorId(copy.doc)).toBe(other);
  });

  describe("whose edit comes to nothing", () => {
    test.each([
      ["as it changes nothing", (doc: Doc) => Automerge.change(doc, () => undefined)],
      ["as it fails", (doc: Doc) => Automerge.change(doc, failing)],
      ["as it fails at earlier heads", (doc: Doc) => Automerge.changeAt(doc, begun(), failing).newDoc],
    ])("stays the same object, %s", (_, edit) => {
      const [own = "", other = ""] = ACTORS;
      const [copy, author] = [copyOf(own), copyOf(other)];
      // Under its own name, and under another's.
      for (const prepare of [() => copy.edit(insert(0, "y")), () => copy.take(author.edit(insert(0, "x")))]) {
        prepare();
        const [before, heads] = [copy.doc, Automerge.getHeads(copy.doc)];
        for (let i = 0; i < 2; i++) {
          try {
            expect(copy.edit(edit)).toEqual([]);
          } catch (error) {
            expect(error).toEqual(new Error("on purpose"));
          }
        }
        expect(copy.doc).toBe(before);
        expect(Automerge.getHeads(copy.doc)).toEqual(heads);
        const [made] = copy.edit(insert(0, "z"));
        expect([made?.actor, made?.deps]).toEqual([own, expect.arrayContaining(heads)]);
        author.take(changesSince(copy.doc, []));
        expect(author.doc).toEqual(copy.doc);
      }
    });

    const begun = (): string[] => genesis().map(({ hash }) => hash);
    function failing(draft: Content): void {
      draft.count = 7;
      throw new Error("on purpose");
    }
  });

  test("forks no more than its limit allows, and again when time has passed; the rest is applied", () => {
    const [own = "", other = ""] = ACTORS;
    const clock = new VirtualClock();
    const long = described(
      Automerge.getAllChanges(Automerge.from<Content>({ text: "x".repeat(400_000) }, { actor: "00" })).at(-1) ??
        new Uint8Array(),
    );
    const [copy, author] = [copyOf(own, [long], clock), copyOf(other, [long])];
    const names = Array.from({ length: 4 }, () => {
      copy.take(author.edit(insert(0, "x")));
      const name = Automerge.getActorId(copy.doc);
      author.take(copy.edit(insert(0, "y")));
      return name;
    });
    expect(names).toEqual([other, other, own, own]);
    expect(copy.doc).toEqual(author.doc);
    clock.step(20_000);
    copy.take(author.edit(insert(0, "x")));
    expect(Automerge.getActorId(copy.doc)).toBe(other);
  });
});
