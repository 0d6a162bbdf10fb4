/** Reads of a client in the three modes, and the position that a session carries. */
import { utf8Text } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { describe, expect, test } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { World } from "../sync/world.ts";

describe("a client's reads", () => {
  test("a reading says what state it was read from, and its position serves at another gateway", async () => {
    const { world, site, client } = await siteWithClient();
    expect(client.position).toBeNull();
    const edit = client.kv.put("a", "1");
    await world.flush();
    const at = await edit.site;
    expect(client.position).toBe(`${site.id}.0.${site.position().epoch.nonce}.${at}`);
    const minRevision = client.position ?? "";
    const asked = client.kv.read("a", { minRevision });
    await world.flush();
    const { row, position, staleMs } = await asked;
    expect(utf8Text(row?.value ?? new Uint8Array())).toBe("1");
    expect(position).toBe(minRevision);
    expect(staleMs).toBe(7);
    const refused = Promise.all([
      codeOf(client.kv.get("a", { minRevision: minRevision.replace(/\d+$/, "99") })),
      codeOf(client.kv.get("a", { minRevision: minRevision.replace(/^\w+/, "elsewhere") })),
      codeOf(client.kv.get("a", { minRevision: "17" })),
      codeOf(client.kv.get("a", { consistency: "at-least" })),
      codeOf(client.kv.get("a", { consistency: "local", minRevision })),
    ]);
    await world.flush();
    expect(await refused).toEqual(["FORK", "WRONG_CLUSTER", "BAD_REQUEST", "BAD_REQUEST", "BAD_REQUEST"]);
  });

  test("a session that reads its own writes carries its highest position; a mirror that is behind it is not read", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const options = { readYourWrites: true, subscribe: { prefixes: ["a"] } };
    const client = await world.client(site, options);
    const other = await world.client(site, { subscribe: { prefixes: ["a"] } });
    await world.elapse(1_000);
    let barriers = 0;
    const barrier = site.barrier.bind(site);
    site.barrier = () => {
      barriers++;
      return barrier();
    };
    // A gateway that lags: it does not show what is committed, until it is asked to make sure.
    const position = site.position.bind(site);
    const edit = client.kv.compareAndSet("a", 0, "1");
    await world.flush();
    await edit.site;
    const behind = position();
    site.position = () => (barriers > 0 ? position() : { ...behind, revision: revision(behind.revision - 1) });
    // Not subscribed: from the gateway, which waits.
    const asked = Promise.all([codeOf(client.kv.get("b")), codeOf(other.kv.get("b"))]);
    await world.flush();
    expect(await asked).toEqual(["ok", "ok"]);
    expect(barriers).toBe(1);
    // In the mirror, once that has come so far.
    await world.elapse(1_000);
    expect(client.status().cursor).toBe(1);
    expect(utf8Text((await client.kv.get("a"))?.value ?? new Uint8Array())).toBe("1");
    expect((await client.kv.read("a")).position).toBe(client.position);
    // What the mirror does not show yet, it does not answer for.
    const ahead = (client.position ?? "").replace(/\d+$/, "2");
    const beyond = codeOf(client.kv.get("a", { minRevision: ahead }));
    await world.flush();
    expect(await beyond).toBe("FORK");
    expect(barriers).toBe(2);
  });
});
