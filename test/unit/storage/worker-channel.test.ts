/** A storage worker's calls: every one is answered, and what may wait is bounded (X1). */
import { WorkerChannel } from "@openclaw/edge-runtime/storage/worker-channel.ts";
import { expect, onTestFinished, test } from "vitest";
import type { OddCalls } from "./odd-worker.ts";

function channel(): WorkerChannel<OddCalls> {
  const made = new WorkerChannel<OddCalls>("odd worker", new URL("./odd-worker.ts", import.meta.url));
  onTestFinished(() => made.terminate());
  return made;
}

const code = (expected: string): unknown => expect.objectContaining({ code: expected });

test.each(["crash", "exit"] as const)(
  "a worker that dies (%s) fails what waits and what comes, STORAGE_FAILED",
  async (death) => {
    const calls = channel();
    const waiting = [calls.call("wait", null), calls.call("wait", null)];
    const dying = calls.call(death, null);
    for (const call of [...waiting, dying]) await expect(call).rejects.toEqual(code("STORAGE_FAILED"));
    await expect(calls.call("echo", new Uint8Array(1))).rejects.toEqual(code("STORAGE_FAILED"));
    // Its callers know: closing has nothing to add.
    await calls.close();
  },
);

test("a worker that died unnoticed is noticed at the close", async () => {
  const calls = channel();
  await calls.terminate();
  await expect(calls.close()).rejects.toEqual(code("STORAGE_FAILED"));
});

test("X1: calls that wait are bounded by number; one more is OVERLOADED", async () => {
  const calls = channel();
  const waiting = Array.from({ length: 4_096 }, () => calls.call("wait", null));
  await expect(calls.call("wait", null)).rejects.toEqual(code("OVERLOADED"));
  await calls.terminate();
  const outcomes = await Promise.allSettled(waiting);
  expect(outcomes.every(({ status }) => status === "rejected")).toBe(true);
});

test("X1: calls that wait are bounded by bytes, but one alone may be as large as it is", async () => {
  const calls = channel();
  const held = calls.call("wait", null, { bytes: 100_000_000 });
  await expect(calls.call("echo", new Uint8Array(9), { bytes: 9 })).rejects.toEqual(code("OVERLOADED"));
  await calls.terminate();
  await expect(held).rejects.toEqual(code("STORAGE_FAILED"));
});

test("a buffer that is handed over is not copied", async () => {
  const calls = channel();
  const bytes = new Uint8Array([1, 2, 3]);
  const echoed = calls.call("echo", bytes, { bytes: 3, transfer: [bytes.buffer] });
  expect(bytes.length).toBe(0);
  expect([...(await echoed)]).toEqual([1, 2, 3]);
  await expect(calls.call("refuse", "no")).rejects.toEqual(code("STORAGE_FAILED"));
  await calls.close();
});
