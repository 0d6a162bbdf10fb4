import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { EventStream } from "@openclaw/edge-runtime/api/event-stream.ts";
import { SERVER_SENT } from "@openclaw/edge-runtime/api/stream-format.ts";
import { expect, test } from "vitest";
import { EventReader } from "./sse.ts";

/** A stream whose reader we hold, and whose writer we are. */
async function connected(stallMs: number) {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => resolve(response));
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const opening = EventReader.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const response = await promise;
  const stream = new EventStream(response, { "x-hook": "set" }, SERVER_SENT, stallMs);
  return { stream, response, reader: await opening, stop: () => server.close() };
}

test("X1: a reader that takes nothing for too long is cut off with OVERLOADED, after what was sent", async () => {
  const { stream, reader, stop } = await connected(200);
  expect(reader.response.headers).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "x-hook": "set",
  });
  reader.response.pause();
  const event = { event: "put", id: "1", data: { text: "x".repeat(1_048_576) } };
  const flood = (async () => {
    for (;;) await stream.send([event]);
  })();
  await expect(flood).rejects.toMatchObject({ code: "OVERLOADED" });
  stream.fail(new OpenClawError("OVERLOADED", "the watcher does not read"));
  expect(stream.signal.aborted).toBe(true);
  reader.response.resume();
  await reader.until((all) => all.some(({ event }) => event === "closed"));
  expect(reader.received.at(-1)).toMatchObject({ event: "closed", data: { code: "OVERLOADED", retryable: true } });
  expect(reader.received.slice(0, -1).every(({ event }) => event === "put")).toBe(true);
  stop();
});

test("a reader that went away before the stream began has none", async () => {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => resolve(response));
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const opening = EventReader.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).catch(() => {});
  const response = await promise;
  const closed = new Promise((resolve) => response.once("close", resolve));
  response.destroy();
  await Promise.all([closed, opening]);
  expect(new EventStream(response, {}).signal.aborted).toBe(true);
  server.close();
});

test("X1: what nobody takes at a stream's end is cut off", async () => {
  const { stream, response, reader, stop } = await connected(200);
  reader.response.pause();
  void stream.send([{ event: "put", data: { text: "x".repeat(32 * 1_048_576) } }]);
  stream.end();
  await expect.poll(() => response.destroyed).toBe(true);
  expect(response.writableFinished).toBe(false);
  reader.close();
  stop();
});

test("a reader that goes away aborts the stream, and what is sent then is dropped", async () => {
  const { stream, reader, stop } = await connected(5_000);
  reader.close();
  await expect.poll(() => stream.signal.aborted).toBe(true);
  await stream.send([{ event: "put", data: {} }]);
  stream.fail(new OpenClawError("STOPPED"));
  stop();
});
