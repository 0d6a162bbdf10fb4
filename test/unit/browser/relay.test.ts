import { join, RelayEnd, type RelayMessage } from "@openclaw/browser/worker/relay.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import { expect, test } from "vitest";

type Handlers = Parameters<FrameConnection<number, number>["receive"]>[0];

/** Two ends, between which nothing moves before it is delivered. */
function ends() {
  const toB: RelayMessage<number>[] = [];
  const toA: RelayMessage<number>[] = [];
  const gone: string[] = [];
  const a = new RelayEnd<number, number>(
    (message) => toB.push(message),
    () => gone.push("a"),
  );
  const b = new RelayEnd<number, number>(
    (message) => toA.push(message),
    () => gone.push("b"),
  );
  const deliver = (): void => {
    while (toA.length + toB.length > 0) {
      for (const message of toB.splice(0)) b.take(message);
      for (const message of toA.splice(0)) a.take(message);
    }
  };
  return { a, b, gone, deliver };
}

function heard(end: FrameConnection<number, number>) {
  const frames: number[] = [];
  const ended: (string | null)[] = [];
  let drained = 0;
  end.receive({
    message: (frame) => void frames.push(frame),
    drained: () => void drained++,
    closed: (reason) => void ended.push(reason === null ? null : reason.message),
  });
  return { frames, ended, drained: () => drained };
}

/** A connection that says when it takes no more. */
class Reluctant implements FrameConnection<number, number> {
  readonly sent: number[] = [];
  takes = true;
  handlers: Handlers | null = null;
  closed = 0;
  send(frame: number): boolean {
    this.sent.push(frame);
    return this.takes;
  }
  receive(handlers: Handlers): void {
    this.handlers = handlers;
  }
  close(): void {
    this.closed++;
  }
}

test("X1: a sender is asked to wait, hears when it may go on, and is ended if it goes on all the same", () => {
  const { a, b, deliver, gone } = ends();
  const at = { a: heard(a), b: heard(b) };
  const free = Array.from({ length: 16 }, (_, i) => a.send(i));
  expect(free.indexOf(false)).toBe(15);
  expect(at.a.drained()).toBe(0);
  deliver();
  expect([at.a.drained(), at.b.frames.length]).toEqual([1, 16]);
  for (let i = 0; i < 128; i++) a.send(i);
  expect(at.a.ended).toEqual([]);
  expect(a.send(128)).toBe(false);
  expect(at.a.ended).toEqual([expect.stringContaining("128 frames were not taken")]);
  deliver();
  expect(at.b.ended).toEqual(at.a.ended);
  expect(gone).toEqual(["a", "b"]);
});

test("X1: what the connection behind an end does not take gives its sender no credit until it does", () => {
  const { a, b, deliver } = ends();
  const sender = heard(a);
  const behind = new Reluctant();
  join(b, behind);
  behind.takes = false;
  for (let i = 0; i < 16; i++) a.send(i);
  deliver();
  // They are all there, and more would wait in memory.
  expect([behind.sent.length, sender.drained()]).toEqual([16, 0]);
  behind.takes = true;
  behind.handlers?.drained();
  deliver();
  expect(sender.drained()).toBe(1);
});

test("an error keeps its code through both ends, and each end is closed once", () => {
  const { a, b, deliver } = ends();
  const client = heard(a);
  const behind = new Reluctant();
  join(b, behind);
  behind.handlers?.closed(new OpenClawError("WRONG_EPOCH", "epoch 2"));
  deliver();
  expect(client.ended).toEqual([expect.stringContaining("epoch 2")]);
  expect(behind.closed).toBe(1);
  a.close();
  deliver();
  expect([client.ended.length, behind.closed]).toEqual([1, 1]);
});

test("who closes on purpose tells the connection behind the other end", () => {
  const { a, b, deliver } = ends();
  const behind = new Reluctant();
  join(b, behind);
  a.close();
  deliver();
  expect(behind.closed).toBe(1);
});

test("a frame that the connection behind refuses ends it for that reason", () => {
  const { a, b, deliver } = ends();
  const client = heard(a);
  const behind = new Reluctant();
  behind.send = () => {
    throw new OpenClawError("FRAME_TOO_LARGE", "5 MiB");
  };
  join(b, behind);
  a.send(1);
  deliver();
  expect(client.ended).toEqual([expect.stringContaining("5 MiB")]);
});
