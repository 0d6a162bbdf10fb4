/** An app's listener that throws: the app hears of it, and nothing else does. */
import { Election } from "@openclaw/core/client/recipes/election.ts";
import { expect, onTestFinished, test } from "vitest";
import { siteWithClient } from "../sync/site-with-client.ts";

/** What was rejected and handled by nobody, from here on. */
function unhandled(): unknown[] {
  const errors: unknown[] = [];
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", (error) => errors.push(error));
  onTestFinished(() => {
    process.removeAllListeners("unhandledRejection");
    for (const other of others) process.on("unhandledRejection", other);
  });
  return errors;
}

test("a listener that throws keeps no other one, no connection and no reconnection from its work", async () => {
  const { world, client } = await siteWithClient();
  const errors = unhandled();
  const bad = (): void => {
    throw new Error("the app's");
  };
  const seen: string[] = [];
  client.kv.watch("k", bad);
  client.kv.watch("k", () => seen.push("key"));
  client.subscribe(bad);
  client.subscribe(() => seen.push("status"));
  const opening = client.docs.open<{ text: string }>("notes", "one", { initial: { text: "" } });
  await world.elapse(1_000);
  const handle = await opening;
  handle.subscribe(bad);
  handle.subscribe(() => seen.push("document"));
  handle.change((draft) => {
    draft.text = "a";
  });
  new Election(client, "k").observe(bad);
  await world.elapse(1_000);
  const { connections } = client.metrics();
  client.kv.put("k1", "v");
  await world.elapse(1_000);
  expect(new Set(seen)).toEqual(new Set(["key", "status", "document"]));
  expect(client.metrics().connections).toBe(connections);
  world.cutAll();
  await world.elapse(20_000);
  expect(client.status()).toMatchObject({ link: "online", unsynced: 0 });
  expect(errors.length).toBeGreaterThan(4);
  expect(new Set(errors.map(String))).toEqual(new Set(["Error: the app's"]));
});
