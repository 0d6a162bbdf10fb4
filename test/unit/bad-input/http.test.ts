/** X1 over HTTP: whatever is sent, the exact bytes come back, or an error with a code; and the node goes on. */
import { Agent, type IncomingMessage, request } from "node:http";
import { toHex, utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { isErrorCode } from "@openclaw/core/errors.ts";
import { TXN_OPERATIONS_MAX, VALUE_BYTES_MAX } from "@openclaw/core/limits.ts";
import { tokenAuthority } from "@openclaw/edge-runtime/api/auth.ts";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "../api/node.ts";
import { changes, EventReader } from "../api/sse.ts";
import { NAUGHTY, NAUGHTY_TEXTS } from "./naughty.ts";

const fatal: Error[] = [];
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
let node: TestNode;
let base: string;
beforeAll(async () => {
  node = await startTestNode({ onFatal: (error) => void fatal.push(error) });
  base = await node.listen();
});
afterAll(async () => {
  agent.destroy();
  expect(fatal).toEqual([]);
  await node.stop();
});

/** Every byte, so that a parser has nothing to interpret. */
const encoded = (bytes: Uint8Array): string => toHex(bytes).replace(/../g, "%$&");
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const shown = (bytes: Uint8Array): string => utf8Text(bytes)?.slice(0, 60) ?? toHex(bytes.slice(0, 20));

/** Our own, and one of so many of the public list: each costs several requests. */
const some = (share: number): readonly string[] => NAUGHTY_TEXTS.filter((_, i) => i < 60 || i % share === 0);

const post = (url: string, body: unknown) =>
  asked({ method: "POST", url, body: JSON.stringify(body), type: "application/json" });

interface Asking {
  readonly method?: "GET" | "PUT" | "POST" | "DELETE";
  readonly url: string;
  readonly body?: Uint8Array | string;
  readonly type?: string;
}

/** Its answer, and why it may not be one; null where it may. By a client that tidies no path away, as URL parsers do. */
function asked({ method = "GET", url, body = "", type = "application/octet-stream" }: Asking) {
  const { hostname, port } = new URL(base);
  const headers = { "content-length": Buffer.byteLength(body), ...(method === "GET" ? {} : { "content-type": type }) };
  return new Promise<Told>((resolve, reject) => {
    request({ agent, hostname, port, method, path: url, headers }, (response) => {
      // An answer that goes on is none to wait for.
      if (/event-stream|ndjson/.test(response.headers["content-type"] ?? "")) {
        response.destroy();
        return resolve(toldBy(response, Buffer.alloc(0)));
      }
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve(toldBy(response, Buffer.concat(chunks))));
    })
      .on("error", reject)
      .end(body);
  });
}

type Told = ReturnType<typeof toldBy>;
function toldBy({ statusCode: status = 0, headers }: IncomingMessage, raw: Buffer) {
  // biome-ignore lint/suspicious/noExplicitAny: assertions look into it
  const body: any = headers["content-type"]?.startsWith("application/json") ? JSON.parse(raw.toString()) : null;
  const code: unknown = body?.code ?? null;
  const isWrong = status >= 500 || (status >= 400 && !isErrorCode(code));
  return { status, code, body, raw, wrong: isWrong ? `${status} ${raw.toString().slice(0, 100)}` : null };
}

describe("naughty strings", () => {
  test("X1: as keys and values come back byte for byte, by get, list, transaction, history and watch", async () => {
    const events = await EventReader.open(`${base}/v1/watch?from=1`);
    const bad: string[] = [];
    const put: Uint8Array[] = [];
    for (const key of NAUGHTY) {
      const url = `/v1/kv/${encoded(key)}`;
      const told = await asked({ method: "PUT", url, body: key });
      if (key.length === 0) {
        expect(told).toMatchObject({ status: 400, code: "KEY_EMPTY" });
        continue;
      }
      const got = await asked({ url });
      const listed = (await asked({ url: `/v1/kv?prefix=${encoded(key)}&limit=1` })).body.rows[0];
      const success = [{ op: "range", key: base64(key) }];
      const ran = (await post("/v1/txn", { success })).body;
      const past = (await asked({ url: `/v1/history/${encoded(key)}` })).body;
      const same =
        told.status === 200 &&
        Buffer.from(key).equals(got.raw) &&
        (listed.key ?? Buffer.from(listed.keyBase64, "base64").toString("latin1")) ===
          (utf8Text(key) ?? Buffer.from(key).toString("latin1")) &&
        listed.value === base64(key) &&
        listed.text === utf8Text(key) &&
        ran.responses[0].rows[0].key === base64(key) &&
        past.versions[0].value === base64(key);
      if (!same) bad.push(`${shown(key)}: ${told.wrong ?? got.wrong ?? JSON.stringify(listed)}`);
      put.push(key);
    }
    expect(bad).toEqual([]);
    const received = changes(await events.until((all) => changes(all).length >= put.length));
    events.close();
    expect(received.map(({ data }) => data.key ?? data.keyBase64)).toEqual(
      put.map((key) => utf8Text(key) ?? base64(key)),
    );
    expect(received.map(({ data }) => data.value)).toEqual(put.map(base64));
  }, 120_000);

  test("X1: as documents, collections, and names and texts in a document: as they were, or refused with a code", async () => {
    const bad: string[] = [];
    const names: string[] = [];
    for (const text of some(4)) {
      const id = encoded(utf8(text));
      const ops = [
        { op: "put", path: ["text"], value: text },
        // No object of JavaScript can be trusted with that one as a field: it is refused, below.
        { op: "put", path: [text === "__proto__" ? "proto" : text], value: "named so" },
      ];
      const told = await post(`/v1/docs/naughty/${id}`, { ops });
      if (told.status === 200) names.push(text);
      if (told.wrong !== null) bad.push(`${text.slice(0, 40)}: ${told.wrong}`);
      if (told.status !== 200) continue;
      const got = await asked({ url: `/v1/docs/naughty/${id}` });
      const { document } = JSON.parse(got.raw.toString());
      const named = text === "text" ? "named so" : text;
      if (
        document.text !== named ||
        document[text === "__proto__" ? "proto" : text] !== "named so" ||
        Object.keys(document).length > 2
      )
        bad.push(`${text.slice(0, 40)}: ${got.raw.toString().slice(0, 100)}`);
    }
    expect(bad).toEqual([]);
    const { documents } = (await asked({ url: "/v1/docs/naughty" })).body;
    expect([...documents].sort()).toEqual([...names].sort());
    const proto = { ops: [{ op: "put", path: ["__proto__"], value: 1 }] };
    expect(await post("/v1/docs/naughty/d", proto)).toMatchObject({ status: 400, code: "BAD_REQUEST" });
    expect(names).toEqual(expect.arrayContaining(["__proto__", "constructor", "a\0b", "..", "\uFEFFbom"]));
    for (const text of some(8).filter((one) => one.length > 0 && one.length < 200)) {
      const ops = [{ op: "put", path: ["a"], value: 1 }];
      const url = `/v1/docs/${encoded(utf8(text))}/d`;
      const told = await post(url, { ops });
      const listed = told.status === 200 ? (await asked({ url: url.slice(0, -2) })).body : null;
      if (told.wrong !== null || (listed !== null && JSON.stringify(listed) !== '{"documents":["d"]}'))
        bad.push(`${text.slice(0, 40)}: ${told.wrong ?? JSON.stringify(listed)}`);
    }
    expect(bad).toEqual([]);
  }, 120_000);

  test("X1: in every parameter of every route: an answer, or an error with a code", async () => {
    const { paths } = (await asked({ url: "/v1/openapi.json" })).body;
    const bad: string[] = [];
    let count = 0;
    for (const [path, methods] of Object.entries<Record<string, { parameters?: { name: string; in: string }[] }>>(
      paths,
    )) {
      for (const [method, { parameters = [] }] of Object.entries(methods)) {
        if (method !== "get" && method !== "delete" && method !== "post") continue;
        for (const { name, in: place } of parameters) {
          if (place !== "path" && place !== "query") continue;
          for (const text of some(8)) {
            const value = encoded(utf8(text.slice(0, 1_000)));
            const filled = path.replaceAll(/\{(\w+)\}/g, (_, other) => (other === name ? value : "x"));
            const url = place === "path" ? filled : `${filled}?${name}=${value}`;
            const told = await asked({ method: method === "get" ? "GET" : method === "post" ? "POST" : "DELETE", url });
            count++;
            if (told.wrong !== null) bad.push(`${method} ${url.slice(0, 120)}: ${told.wrong}`);
          }
        }
      }
    }
    expect(bad).toEqual([]);
    expect(count).toBeGreaterThan(2_000);
  }, 120_000);

  test("X1: as the subject of a token, who wrote is told as it stands there, or the token is refused", async () => {
    const { privateKey, publicKey } = await generateKeyPair("EdDSA");
    const { x } = await exportJWK(publicKey);
    const secured = await startTestNode({
      authority: await tokenAuthority({ kty: "OKP", crv: "Ed25519", x: String(x) }),
      onFatal: (error) => void fatal.push(error),
    });
    try {
      const bad: string[] = [];
      for (const text of some(4)) {
        const token = await new SignJWT({ read: [text, ""], write: [text, ""] })
          .setProtectedHeader({ alg: "EdDSA" })
          .setSubject(text)
          .setExpirationTime(Math.trunc(Date.now() / 1_000) + 60)
          .sign(privateKey);
        const headers = { authorization: `Bearer ${token}` };
        const told = await secured.app.inject({ method: "PUT", url: "/v1/kv/k", payload: Buffer.from("v"), headers });
        if (told.statusCode !== 200) {
          if (told.statusCode >= 500 || !isErrorCode(told.json().code)) bad.push(`${text}: ${told.body}`);
          continue;
        }
        const [version] = (await secured.app.inject({ url: "/v1/history/k?limit=1", headers })).json().versions;
        if (version.principal !== text) bad.push(`${text}: ${version.principal}`);
      }
      expect(bad).toEqual([]);
    } finally {
      await secured.stop();
    }
  });
});

describe("a body", () => {
  const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);
  const value = base64(utf8("v"));
  const put = (key: string) => ({ op: "put", key: base64(utf8(key)), value });
  const bodies: readonly (readonly [string, string | Buffer])[] = [
    ["nothing", ""],
    ["no JSON", "{"],
    ["NaN", '{"success":[{"op":"range","key":"YQ==","limit":NaN}]}'],
    ["a number beyond all", '{"success":[{"op":"range","key":"YQ==","limit":1e999}]}'],
    ["a number below 0", '{"success":[{"op":"range","key":"YQ==","limit":-1}]}'],
    ["a broken number", '{"success":[{"op":"range","key":"YQ==","limit":1.5}]}'],
    [
      "a number that is no safe integer",
      '{"compare":[{"target":"version","key":"YQ==","result":"equal","number":9007199254740993}]}',
    ],
    ["a revision of the far future", '{"success":[{"op":"range","key":"YQ==","minModRevision":1e308}]}'],
    ["a lease of 0", '{"success":[{"op":"put","key":"YQ==","value":"","lease":0}]}'],
    ["no base64", '{"success":[{"op":"put","key":"ä","value":""}]}'],
    ["text where a list belongs", '{"success":"abc"}'],
    ["a list", "[]"],
    ["null", "null"],
    ["a text", '"x"'],
    ["__proto__", '{"__proto__":{"success":[]},"success":[]}'],
    ["constructor", '{"constructor":{"prototype":{"x":1}},"success":[]}'],
    ["depth of lists", `{"success":${nested(100_000, "[", "]")}}`],
    ["depth of transactions", nested(20_000, '{"op":"txn","compare":[],"failure":[],"success":[', "]}")],
    ["no UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
    ["a byte order mark, and no more", Buffer.from([0xef, 0xbb, 0xbf])],
    ["a lone surrogate as a name", '{"\\ud800":1}'],
    [
      "more operations than may be",
      JSON.stringify({ success: Array.from({ length: TXN_OPERATIONS_MAX + 1 }, (_, i) => put(`${i}`)) }),
    ],
    [
      "values that are too large together",
      JSON.stringify({
        success: [1, 2, 3, 4].map((i) => ({ ...put(`${i}`), value: base64(new Uint8Array(VALUE_BYTES_MAX)) })),
      }),
    ],
    ["a key that is too large", JSON.stringify({ success: [put("k".repeat(5_000))] })],
    ["one key twice", JSON.stringify({ success: [put("a"), put("a")] })],
  ];
  for (const url of ["/v1/txn", "/v1/docs/log/today", "/v1/leases", "/v1/leader"]) {
    test(`X1: that is none is refused with a code by ${url}, and nothing is written`, async () => {
      const before = node.replica.position().revision;
      const bad: string[] = [];
      for (const [what, body] of bodies) {
        for (const type of ["application/json", "text/plain", "application/json; charset=utf-16", "x"]) {
          const told = await asked({ method: "POST", url, body, type });
          if (told.wrong !== null || (told.status < 400 && url !== "/v1/leases"))
            bad.push(`${what} as ${type}: ${told.wrong ?? told.status}`);
        }
      }
      expect(bad).toEqual([]);
      expect(node.replica.position().revision).toBe(before);
    });
  }

  test("X1: half of a surrogate pair, which has no UTF-8, is refused in a document's texts and names", async () => {
    for (const op of [
      '{"op":"put","path":["a"],"value":"\\ud800"}',
      '{"op":"put","path":["\\udc00"],"value":1}',
      '{"op":"put","path":["a"],"value":{"deep":["\\ud800x"]}}',
    ]) {
      const told = await asked({
        method: "POST",
        url: "/v1/docs/log/half",
        body: `{"ops":[${op}]}`,
        type: "application/json",
      });
      expect(told).toMatchObject({ status: 400, code: "BAD_REQUEST" });
    }
  });

  test("of two fields with one name the last one stands, as everywhere in JSON; -0 is 0", async () => {
    const twice = `{"success":[],"success":[{"op":"put","key":"dHdpY2U=","value":"${value}"}]}`;
    const type = "application/json";
    expect((await asked({ method: "POST", url: "/v1/txn", body: twice, type })).status).toBe(200);
    expect((await asked({ url: "/v1/kv/twice" })).raw.toString()).toBe("v");
    const zero = '{"compare":[{"target":"version","key":"bm9uZQ==","result":"equal","number":-0}]}';
    expect((await asked({ method: "POST", url: "/v1/txn", body: zero, type })).body).toMatchObject({
      succeeded: true,
    });
  });
});
