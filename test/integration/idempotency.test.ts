/** Q1 with real nodes: the one that was asked dies between commit and answer, and the repeat comes to another. */
import net from "node:net";
import { expect, test } from "vitest";
import { startSite } from "./site.ts";

/** Sends a request and reads nothing of the answer. */
function send(http: string, head: string, body: string): net.Socket {
  const { hostname, port } = new URL(http);
  const socket = net.connect(Number(port), hostname);
  socket.on("error", () => undefined);
  socket.pause();
  socket.write(`${head} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: ${body.length}\r\n`);
  return socket;
}

test("Q1: a write whose node died between commit and answer runs once, however often it is repeated elsewhere", async () => {
  const nodes = await startSite(3);
  for (const [round, asked] of nodes.entries()) {
    const others = nodes.filter((node) => node !== asked);
    const name = `round-${round}`;
    const key = `"${name}"`;
    const socket = send(asked.http, `PUT /v1/kv/${name}`, "1");
    socket.write(`Idempotency-Key: ${key}\r\n\r\n1`);
    const seen = async (http: string) => (await fetch(`${http}/v1/kv/${name}?consistency=local`)).status;
    await expect.poll(() => seen(others[0]?.http ?? ""), { timeout: 60_000, interval: 5 }).toBe(200);
    await asked.process.kill();
    socket.destroy();

    const revisions = new Set<unknown>();
    for (const { http } of [...others, ...others]) {
      const answer = await fetch(`${http}/v1/kv/${name}`, {
        method: "PUT",
        headers: { "idempotency-key": key },
        body: "1",
      });
      expect(answer.status).toBe(200);
      expect(Number(answer.headers.get("x-openclaw-idempotency-remembered-ms"))).toBeGreaterThan(86_000_000);
      const { revision } = (await answer.json()) as { revision: number };
      revisions.add(revision);
    }
    expect(revisions.size).toBe(1);
    const read = await fetch(`${others[0]?.http}/v1/kv/${name}`);
    expect(read.headers.get("x-openclaw-version")).toBe("1");
    const other = await fetch(`${others[1]?.http}/v1/kv/${name}`, {
      method: "PUT",
      headers: { "idempotency-key": key },
      body: "2",
    });
    expect(other.status).toBe(422);

    asked.process.start();
    await asked.process.ready();
    const back = await fetch(`${asked.http}/v1/kv/${name}`, {
      method: "PUT",
      headers: { "idempotency-key": key },
      body: "1",
    });
    expect(revisions).toContain(((await back.json()) as { revision: number }).revision);
  }
}, 300_000);
