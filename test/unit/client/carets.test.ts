/** The example of docs/presence.md: a caret is a place in the text, not a number, and stays right when others type. */
import { readFile } from "node:fs/promises";
import * as Automerge from "@automerge/automerge";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { expect, test } from "vitest";
import { codeExample } from "../../integration/readme.ts";
import { World } from "../sync/world.ts";
import { carets } from "./carets.ts";

interface Text {
  text: string;
}

const type = (handle: DocumentHandle<Text>, at: number, text: string) =>
  handle.change((doc) => Automerge.splice(doc as Automerge.Doc<Text>, ["text"], at, 0, text));

test("docs/presence.md shows what the tests run", async () => {
  const source = await readFile(new URL("carets.ts", import.meta.url), "utf8");
  expect(await codeExample("docs/presence.md", "carets")).toBe(source);
});

test("R11: another's caret stays where it was meant, whoever types before it, and wherever", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const clients = [await world.client(site), await world.client(site)] as const;
  await world.flush();
  const opening = clients.map((client) =>
    client.docs.open<Text>("log", "main", { initial: { text: "oil and water" } }),
  );
  await world.flush();
  const [a, b] = await Promise.all(opening);
  if (a === undefined || b === undefined) throw new Error("two handles");
  const [ana, ben] = [carets(clients[0], a, "ana"), carets(clients[1], b, "ben")];
  const shown = (): string => {
    const [other] = ben.others();
    const { text } = b.doc();
    return other === undefined || other.index === null
      ? "nowhere"
      : `${text.slice(0, other.index)}|${text.slice(other.index)}`;
  };
  ana.moved(8);
  await world.elapse(200);
  expect(shown()).toBe("oil and |water");
  type(b, 0, "Check ");
  expect(shown()).toBe("Check oil and |water");
  await world.elapse(200);
  // Her caret is in her own text as well where she left it.
  type(a, 14, "much ");
  await world.elapse(200);
  expect(shown()).toBe("Check oil and much |water");
  ana.moved(a.doc().text.length);
  await world.elapse(200);
  type(b, 0, "! ");
  expect(shown()).toBe("! Check oil and much water|");
  clients[0].goOffline();
  await world.elapse(200);
  expect(ben.others()).toEqual([]);
  ana.close();
  ben.close();
});

test("a caret at a change that is not here is nowhere", async () => {
  const world = new World();
  const site = await world.cluster("california");
  const [client, other] = [await world.client(site), await world.client(site)];
  await world.flush();
  const opening = client.docs.open<Text>("log", "main", { initial: { text: "oil" } });
  await world.flush();
  const ben = carets(client, await opening, "ben");
  const elsewhere = Automerge.from({ text: "another text" });
  const cursor = Automerge.getCursor(elsewhere, ["text"], 4);
  other.presence.of({ collection: "log", id: "main" }).set({ name: "<i>eve</i>", at: cursor });
  await world.elapse(200);
  expect(ben.others()).toMatchObject([{ name: "<i>eve</i>", index: null }]);
});
