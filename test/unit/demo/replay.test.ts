import http from "node:http";
import { parseQuakes } from "@openclaw/demo/quakes.ts";
import { longestGapMs, replay } from "@openclaw/demo/replay.ts";
import { SiteClient } from "@openclaw/demo/site-client.ts";
import { afterEach, expect, test } from "vitest";

const events = parseQuakes(
  {
    type: "FeatureCollection",
    features: ["a", "b", "c", "d"].map((id, i) => ({
      type: "Feature",
      id,
      properties: { time: i, updated: 10 + i, net: "ci" },
    })),
  },
  "f",
);

/** A gateway with one ledger behind it, that loses requests or answers as it is told. */
class FakeGateway {
  readonly rows = new Map<string, { value: Buffer; modRevision: number }>();
  readonly puts: string[] = [];
  revision = 0;
  /** What happens to the n-th PUT, from 1. */
  fate: (n: number) => "serve" | "drop before" | "drop after" | "unavailable after" = () => "serve";
  #seen = 0;
  readonly server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => this.#answer(request, response, Buffer.concat(chunks)));
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    const address = this.server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse, body: Buffer): unknown {
    const url = new URL(request.url ?? "", "http://gateway");
    const key = decodeURIComponent(url.pathname.slice("/v1/kv/".length));
    const json = (status: number, value: unknown): unknown =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    const row = this.rows.get(key);
    if (url.pathname === "/v1/kv") {
      const rows = [...this.rows].map(([k, v]) => ({
        key: k,
        value: v.value.toString("base64"),
        modRevision: v.modRevision,
      }));
      return json(200, { revision: this.revision, more: false, rows });
    }
    if (request.method === "GET") {
      if (row === undefined) return json(404, { code: "NOT_FOUND", message: "", retryable: false });
      return response.writeHead(200, { "x-openclaw-mod-revision": row.modRevision }).end(row.value);
    }
    const fate = this.fate(++this.#seen);
    if (fate === "drop before") return request.socket.destroy();
    if (Number(url.searchParams.get("expected")) !== (row?.modRevision ?? 0)) {
      return json(412, { code: "COMPARE_FAILED", message: "", retryable: false });
    }
    this.rows.set(key, { value: body, modRevision: ++this.revision });
    this.puts.push(key);
    if (fate === "drop after") return request.socket.destroy();
    if (fate === "unavailable after") return json(503, { code: "UNAVAILABLE", message: "", retryable: true });
    return json(200, { revision: this.revision });
  }
}

const open: FakeGateway[] = [];
afterEach(() => {
  for (const gateway of open.splice(0)) {
    gateway.server.close();
    gateway.server.closeAllConnections();
  }
});
async function gateway(): Promise<{ gateway: FakeGateway; url: string }> {
  const fake = new FakeGateway();
  open.push(fake);
  return { gateway: fake, url: await fake.listen() };
}

const options = { speed: Number.POSITIVE_INFINITY, inFlightMax: 3 };

test("a put whose answer is lost is acknowledged once, and happens once", async () => {
  const { gateway: fake, url } = await gateway();
  const fates = ["drop after", "unavailable after", "drop before", "serve"] as const;
  fake.fate = (n) => fates[n % fates.length] ?? "serve";
  const { acknowledged } = await replay("california", new SiteClient([url]), events, options);
  expect(acknowledged).toHaveLength(events.length);
  expect(fake.puts.toSorted()).toEqual(events.map(({ key }) => key).toSorted());
  expect(acknowledged.map(({ revision }) => revision).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(acknowledged.some(({ attempts }) => attempts > 1)).toBe(true);
});

test("a dead gateway is passed over", async () => {
  const { gateway: fake, url } = await gateway();
  const { acknowledged } = await replay("california", new SiteClient(["http://127.0.0.1:1", url]), events, options);
  expect(acknowledged).toHaveLength(8);
  expect(fake.puts).toHaveLength(8);
});

test("what an earlier run put is not put again", async () => {
  const { gateway: fake, url } = await gateway();
  await replay("california", new SiteClient([url]), events.slice(0, 6), options);
  const again = await replay("california", new SiteClient([url]), events, options);
  expect(again.already).toBe(6);
  expect(again.acknowledged.map(({ key }) => key).toSorted()).toEqual(["quakes/c", "quakes/d"]);
  expect(fake.puts).toHaveLength(8);
});

test("a key that somebody else wrote ends the replay", async () => {
  const { gateway: fake, url } = await gateway();
  fake.fate = (n) => {
    if (n === 1) fake.rows.set("quakes/b", { value: Buffer.from("another's"), modRevision: ++fake.revision });
    return "serve";
  };
  const one = replay("california", new SiteClient([url]), events, { ...options, inFlightMax: 1 });
  await expect(one).rejects.toMatchObject({ code: "COMPARE_FAILED" });
});

test("the longest gap is between two acknowledgements", () => {
  const at = (...times: number[]) =>
    times.map((atMs) => ({ site: "s", key: "k", revision: 1, sha256: "", atMs, attempts: 1 }));
  expect(longestGapMs(at(5, 100, 7, 30))).toBe(70);
  expect(longestGapMs([])).toBe(0);
});
