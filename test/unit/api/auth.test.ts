import { utf8 } from "@openclaw/core/bytes.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import { tokenAuthority } from "@openclaw/edge-runtime/api/auth.ts";
import type { ApiAuthority } from "@openclaw/edge-runtime/api/deps.ts";
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MEMBERS, NODE, startTestNode, type TestNode } from "./node.ts";
import { EventReader } from "./sse.ts";
import { StandInUplink } from "./stand-in-uplink.ts";

type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>["privateKey"];

const GONE = "california-9" as NodeId;

let authority: ApiAuthority;
let ours: PrivateKey;
let theirs: PrivateKey;
let node: TestNode;
beforeAll(async () => {
  const pair = await generateKeyPair("EdDSA");
  ours = pair.privateKey;
  theirs = (await generateKeyPair("EdDSA")).privateKey;
  const jwk = await exportJWK(pair.publicKey);
  authority = await tokenAuthority({ kty: "OKP", crv: "Ed25519", x: String(jwk.x) });
  node = await startTestNode({
    authority,
    // Removing whom nobody has any more is done at once.
    members: {
      list: () => MEMBERS,
      rows: () => [{ node: GONE, peer: "p", addresses: [], http: "", supports: 1, standing: "removed" }],
      removed: false,
    },
    uplink: new StandInUplink(),
  });
  await node.put("quakes/1", "x");
  await node.put("secret/1", "x");
});
afterAll(() => node.stop());

interface Grant {
  read?: unknown;
  write?: unknown;
  admin?: boolean;
  sub?: string;
  seconds?: number;
  key?: PrivateKey;
}
function token({ seconds = 60, key = ours, sub = "ana", ...claims }: Grant): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: "EdDSA" })
    .setSubject(sub)
    .setExpirationTime(Math.trunc(Date.now() / 1_000) + seconds)
    .sign(key);
}

describe("a token", () => {
  test("covers keys by the bytes of its prefixes, and documents as docs:<collection>/<id>", async () => {
    const principal = await authority.authenticate(
      await token({ read: ["quakes/", "docs:log/"], write: ["docs:log/mine"] }),
    );
    expect(principal.name).toBe("ana");
    expect(principal.expires).toBeGreaterThan(Date.now());
    expect(principal.mayReadKey(utf8("quakes/1"))).toBe(true);
    expect(principal.mayReadKey(utf8("quakes"))).toBe(false);
    expect(principal.mayReadPrefix(utf8("quakes/ci"))).toBe(true);
    expect(principal.mayReadPrefix(utf8("quakes"))).toBe(false);
    expect(principal.mayReadPrefix(utf8(""))).toBe(false);
    expect(principal.mayWriteKey(utf8("quakes/1"))).toBe(false);
    expect(principal.mayWritePrefix(utf8("docs:log/mine/"))).toBe(true);
    expect(principal.mayWritePrefix(utf8("docs:log/"))).toBe(false);
    expect(principal.mayReadCollection("log")).toBe(true);
    expect(principal.mayReadCollection("logs")).toBe(false);
    expect(principal.mayReadDocument("log", "anything")).toBe(true);
    expect(principal.mayWriteDocument("log", "mine")).toBe(true);
    expect(principal.mayWriteDocument("log", "yours")).toBe(false);
    expect(principal.mayReadDocument("log/mine", "x")).toBe(false);
    expect(principal.mayAdminister).toBe(false);
  });

  test("with the empty prefix covers everything", async () => {
    const principal = await authority.authenticate(await token({ read: [""], write: [""], admin: true }));
    expect(principal.mayReadPrefix(utf8(""))).toBe(true);
    expect(principal.mayWriteDocument("any", "thing")).toBe(true);
    expect(principal.mayAdminister).toBe(true);
  });

  test.each<[string, () => Promise<string> | string]>([
    ["expired", () => token({ seconds: -60 })],
    ["of another key", () => token({ key: theirs })],
    ["with odd claims", () => token({ read: "everything" })],
    ["in the cluster's own name", () => token({ sub: "node:california-1" })],
    ["in a lease's name", () => token({ sub: "lease:7" })],
    ["that is no token", () => "not.a.token"],
    ["signed by nobody", async () => `${btoa('{"alg":"none"}')}.${btoa('{"sub":"ana","exp":9999999999}')}.`],
    ["without an end", () => new SignJWT({}).setProtectedHeader({ alg: "EdDSA" }).setSubject("ana").sign(ours)],
  ])("%s is UNAUTHENTICATED", async (_, make) => {
    await expect(authority.authenticate(await make())).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });

  test("a key may be given as PEM; what is none is CONFIG_INVALID", async () => {
    const pair = await generateKeyPair("EdDSA", { extractable: true });
    const pem = await tokenAuthority(await exportSPKI(pair.publicKey));
    await expect(pem.authenticate(await token({ key: pair.privateKey }))).resolves.toMatchObject({ name: "ana" });
    await expect(tokenAuthority("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")).rejects.toMatchObject({
      code: "CONFIG_INVALID",
    });
  });
});

type Call = { method: "GET" | "PUT" | "POST" | "DELETE"; url: string; payload?: string };
const edit = JSON.stringify({ ops: [{ op: "put", path: ["a"], value: 1 }] });
const base64 = (text: string): string => Buffer.from(text).toString("base64");
/** Compares a key, and deletes all keys with its prefix in the branch that is not taken. */
const txn = JSON.stringify({
  compare: [{ target: "version", key: base64("quakes/1"), result: "less", number: 0 }],
  success: [{ op: "txn", success: [{ op: "deleteRange", key: base64("quakes/"), rangeEnd: base64("quakes0") }] }],
});
const quakes = { watch: 1, key: base64("quakes/"), rangeEnd: base64("quakes0") };
const watches = JSON.stringify({ watches: [quakes] });
const rewatch = JSON.stringify({ cancel: [1], create: [quakes] });
/** Stands for a stream that the token's subject has open. */
const STREAM = "STREAM";
/** Every route that is not open, with a scope that covers it and one that does not. */
const ROUTES: [Call, Grant, Grant, status?: number][] = [
  [{ method: "GET", url: "/v1/kv/quakes/1" }, { read: ["quakes/"] }, { read: ["secret/"], write: ["quakes/"] }],
  [{ method: "GET", url: "/v1/history/quakes/1" }, { read: ["quakes/"] }, { read: ["secret/"], write: ["quakes/"] }],
  [{ method: "PUT", url: "/v1/kv/quakes/2", payload: "x" }, { write: ["quakes/"] }, { read: [""], write: ["secret/"] }],
  [{ method: "DELETE", url: "/v1/kv/quakes/2" }, { write: ["quakes/"] }, { read: [""] }],
  [{ method: "GET", url: "/v1/kv?prefix=quakes/" }, { read: ["quakes/"] }, { read: ["quakes/1"] }],
  [
    { method: "POST", url: "/v1/txn", payload: txn },
    { read: ["quakes/"], write: ["quakes/"] },
    { read: ["quakes/"], write: ["quakes/1"] },
  ],
  [{ method: "GET", url: "/v1/watch?prefix=quakes/" }, { read: ["quakes/"] }, { read: ["quakes/1"] }],
  [{ method: "POST", url: "/v1/watch", payload: watches }, { read: ["quakes/"] }, { read: ["quakes/1"] }],
  [{ method: "POST", url: `/v1/watch/${STREAM}`, payload: rewatch }, { read: ["quakes/"] }, { read: ["quakes/1"] }],
  [{ method: "GET", url: "/v1/docs/log" }, { read: ["docs:log/"] }, { read: ["docs:log/a", "log"] }],
  [{ method: "POST", url: "/v1/docs/log/a", payload: edit }, { write: ["docs:log/"] }, { read: ["docs:"] }],
  [{ method: "GET", url: "/v1/docs/log/a" }, { read: ["docs:log/a"] }, { read: ["docs:log/b"] }],
  [
    { method: "POST", url: "/v1/admin/uplink", payload: '{"enabled":true}' },
    { admin: true },
    { read: [""], write: [""] },
  ],
  [{ method: "GET", url: "/v1/admin/ledger-check?from=1" }, { admin: true }, { read: [""], write: [""] }],
  [{ method: "POST", url: "/v1/admin/compare-states" }, { admin: true }, { read: [""], write: [""] }],
  [{ method: "POST", url: "/v1/compact", payload: '{"revision":1}' }, { admin: true }, { read: [""], write: [""] }],
  [{ method: "DELETE", url: `/v1/members/${GONE}` }, { admin: true }, { read: [""], write: [""] }],
  [
    { method: "POST", url: "/v1/leader", payload: JSON.stringify({ node: NODE }) },
    { admin: true },
    { read: [""], write: [""] },
  ],
  // A lease ends with its keys, whosever they are.
  [
    { method: "POST", url: "/v1/leases", payload: '{"ttlMs":60000,"lease":5}' },
    { write: [""] },
    { read: [""], write: ["a"] },
  ],
  [{ method: "POST", url: "/v1/leases/5/keep-alive" }, { write: [""] }, { read: [""], write: ["a"] }],
  [{ method: "GET", url: "/v1/leases/5" }, {}, { key: undefined as never }],
  [{ method: "DELETE", url: "/v1/leases/5" }, { write: [""] }, { read: [""], write: ["a"] }],
  [{ method: "GET", url: "/v1/members" }, {}, { key: undefined as never }],
  [{ method: "GET", url: "/v1/status" }, {}, { key: undefined as never }],
  [{ method: "GET", url: "/v1/sync" }, {}, { key: undefined as never }],
  [{ method: "POST", url: "/v1/sync/allow", payload: '{"bytes":1}' }, { admin: true }, { read: [""], write: [""] }],
  [{ method: "GET", url: "/v1/homes" }, {}, { key: undefined as never }],
  [
    { method: "PUT", url: "/v1/homes", payload: '{"prefix":"p/","home":"site"}' },
    { admin: true },
    { read: [""], write: [""] },
  ],
  [{ method: "GET", url: "/v1/commands" }, {}, { key: undefined as never }],
  // What the next ones ask about is not there: who may ask is told so.
  [{ method: "GET", url: "/v1/commands/x" }, {}, { key: undefined as never }, 400],
  [{ method: "GET", url: "/v1/sites/shop/lives" }, { admin: true }, { read: [""], write: [""] }, 404],
  [{ method: "GET", url: `/v1/sites/shop/left/${"ab".repeat(16)}` }, { admin: true }, { read: [""], write: [""] }, 404],
  [{ method: "POST", url: "/v1/sites/shop/resolve", payload: "{}" }, { admin: true }, { read: [""], write: [""] }, 404],
  [{ method: "POST", url: "/v1/sync/adopt-parent", payload: "{}" }, { admin: true }, { read: [""], write: [""] }, 404],
  [{ method: "GET", url: "/v1/gateways" }, {}, { key: undefined as never }],
  [{ method: "GET", url: "/v1/shed" }, { admin: true }, { read: [""], write: [""] }],
  [{ method: "GET", url: "/v1/ledger?from=1" }, { admin: true }, { read: [""], write: [""] }],
  [{ method: "GET", url: "/v1/base" }, { admin: true }, { read: [""], write: [""] }],
  // Each event is asked for.
  [{ method: "GET", url: "/v1/changes?from=1&to=1" }, {}, { key: undefined as never }],
];
/** Rights that only some calls of a route need: a compare reads (as in etcd). */
const FURTHER: typeof ROUTES = [
  [{ method: "POST", url: "/v1/txn", payload: txn }, { read: [""], write: [""] }, { write: [""] }],
  [
    { method: "PUT", url: "/v1/kv/quakes/3?expected=0", payload: "x" },
    { read: ["quakes/3"], write: ["quakes/3"] },
    { write: [""] },
  ],
];

describe("pitfall 50: every route asks", () => {
  test.each([...ROUTES, ...FURTHER])("%o", async (call, right, wrong, status = 200) => {
    const own = call.url.endsWith(STREAM) ? await openStream({ read: ["quakes/"] }) : null;
    const url = call.url.replace(STREAM, String(own?.received[0]?.data.stream));
    const ask = async (bearer: string | null) => {
      if (/^\/v1\/watch(\?|$)/.test(url) && bearer !== null) {
        const authorization = { authorization: `Bearer ${bearer}` };
        const reader =
          call.payload === undefined
            ? await EventReader.open(`${await base()}${url}`, authorization)
            : await EventReader.post(`${await base()}${url}`, JSON.parse(call.payload), authorization);
        const { statusCode } = reader.response;
        reader.close();
        return statusCode;
      }
      const headers = {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(call.payload === undefined ? {} : { "content-type": "application/json" }),
      };
      return (await node.app.inject({ ...call, url, headers })).statusCode;
    };
    expect(await ask(null)).toBe(401);
    expect(await ask(await token({ ...right, seconds: -60 }))).toBe(401);
    expect(await ask(await token({ ...right, key: theirs }))).toBe(401);
    expect(await ask(await token(right))).toBe(status);
    if (wrong.key === undefined && "key" in wrong) return; // any valid token will do
    expect(await ask(await token(wrong))).toBe(403);
    own?.close();
  });

  test("the table above has every route", async () => {
    const { paths } = node.app.swagger() as { paths: Record<string, Record<string, unknown>> };
    const open = ["/healthz", "/readyz", "/metrics", "/v1/openapi.json"];
    const described = Object.entries(paths)
      .filter(([path]) => !open.includes(path))
      .reduce((count, [, methods]) => count + Object.keys(methods).length, 0);
    expect(ROUTES.length).toBe(described);
    for (const url of open) expect((await node.app.inject(url)).statusCode, url).not.toBe(401);
  });

  test("who wrote is in the ledger", async () => {
    const reader = await EventReader.open(
      `${await base()}/v1/watch?prefix=quakes/&access_token=${await token({ read: [""] })}`,
    );
    await reader.until((all) => all.length > 0);
    const headers = { authorization: `Bearer ${await token({ write: [""], sub: "sensor-7" })}` };
    await node.app.inject({ method: "PUT", url: "/v1/kv/quakes/9", payload: "x", headers });
    await reader.until((all) => all.some(({ data }) => data.principal === "sensor-7"));
    reader.close();
  });

  test("a stream of watches answers to its own principal alone, and one with fewer rights adds nothing to it", async () => {
    const stream = await openStream({ read: ["quakes/"] });
    const ask = async (grant: Grant, body: object) =>
      (
        await node.app.inject({
          method: "POST",
          url: `/v1/watch/${stream.received[0]?.data.stream}`,
          headers: { authorization: `Bearer ${await token(grant)}` },
          payload: body,
        })
      ).json();
    const secret = { create: [{ watch: 2, key: base64("secret/1") }] };
    expect(await ask({ read: [""], sub: "eve" }, secret)).toMatchObject({ code: "NOT_FOUND" });
    expect(await ask({ read: ["quakes/"] }, secret)).toMatchObject({ code: "FORBIDDEN" });
    // Rights are those of the token that asked for the watch.
    expect(await ask({ read: ["secret/"] }, secret)).toEqual({ watches: 2 });
    stream.close();
  });

  test("a watch ends when its token does", async () => {
    const reader = await EventReader.open(
      `${await base()}/v1/watch?access_token=${await token({ read: [""], seconds: 1 })}`,
    );
    await reader.until((all) => all.length > 0);
    await reader.until((all) => all.some(({ event }) => event === "closed"));
    expect(reader.received.at(-1)?.data).toMatchObject({ code: "UNAUTHENTICATED" });
  });
});

async function openStream(grant: Grant): Promise<EventReader> {
  const reader = await EventReader.post(`${await base()}/v1/watch`, JSON.parse(watches), {
    authorization: `Bearer ${await token(grant)}`,
  });
  await reader.until((all) => all.some(({ event }) => event === "created"));
  return reader;
}

let listening: Promise<string> | null = null;
const base = (): Promise<string> => {
  listening ??= node.listen();
  return listening;
};
