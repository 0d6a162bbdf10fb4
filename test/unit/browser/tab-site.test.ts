/** Tabs of one device: which of them leads, and how the others get to the site. */
import { FRAMES_MAX } from "@openclaw/browser/worker/relay.ts";
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { expect, test } from "vitest";
import { Device, type Tab } from "./device.ts";

/** A tab's conversation with the site: begins anew, as a client's does, when it ends. */
class Conversation {
  readonly heard: string[] = [];
  readonly ended: string[] = [];
  connects = 0;
  #send: ((frame: Uint8Array) => void) | null = null;
  readonly #device: Device;
  readonly #tab: Tab;

  constructor(device: Device, tab: Tab) {
    this.#device = device;
    this.#tab = tab;
    void this.#begin(null);
  }

  get isOpen(): boolean {
    return this.#send !== null;
  }

  say(text: string): void {
    this.#send?.(utf8(text));
  }

  async #begin(ended: OpenClawError | null): Promise<void> {
    try {
      const stream = await this.#tab.site.connect(ended);
      this.connects++;
      this.#send = (frame) => stream.send(frame);
      stream.receive({
        message: (frame) => void this.heard.push(String(utf8Text(frame))),
        drained: () => undefined,
        closed: (reason) => this.#again(reason),
      });
    } catch (error) {
      this.#again(error);
    }
  }

  #again(reason: unknown): void {
    this.#send = null;
    const error = reason instanceof OpenClawError ? reason : new OpenClawError("UNAVAILABLE", String(reason));
    this.ended.push(error.details);
    this.#device.clock.after(100, () => void this.#begin(error));
  }
}

async function tabs(count: number, seed?: number) {
  const device = new Device(seed);
  const all = Array.from({ length: count }, (_, i) => device.open(`tab ${i}`));
  await device.elapse(100);
  const talks = all.map((tab) => new Conversation(device, tab));
  await device.elapse(100);
  return { device, all, talks };
}

/** Every one of them is answered. */
async function allTalk(device: Device, talks: readonly Conversation[], text: string): Promise<void> {
  for (const talk of talks) talk.say(text);
  await device.elapse(50);
  expect(talks.map(({ heard }) => heard.at(-1))).toEqual(talks.map(() => text));
}

test("D7: four tabs have one connection to the site, and each a stream of its own on it", async () => {
  const { device, talks } = await tabs(4);
  await allTalk(device, talks, "hello");
  expect(device.connected.size).toBe(1);
  expect(device.streams.map(({ caller }) => caller)).toEqual(["tab 0", "tab 1", "tab 2", "tab 3"]);
  // Nothing ends while the leader is there.
  await device.elapse(60_000);
  await allTalk(device, talks, "still here");
  expect(talks.map(({ connects }) => connects)).toEqual([1, 1, 1, 1]);
});

test("D7: a leader that is killed is replaced at once", async () => {
  const { device, all, talks } = await tabs(4);
  all[0]?.kill();
  await device.elapse(200);
  expect(device.connected.size).toBe(1);
  await allTalk(device, talks.slice(1), "after");
});

test("D7: a leader that is frozen is replaced in less than 2 s (pitfall 44), and lets go when it wakes", async () => {
  const { device, all, talks } = await tabs(4);
  all[0]?.stop();
  await device.elapse(1_600);
  await allTalk(device, talks.slice(1), "after");
  expect(device.connected.size).toBe(2);
  all[0]?.resume();
  await device.elapse(1_000);
  expect(device.connected.size).toBe(1);
  await allTalk(device, talks, "all together");
});

test("a leader that says that it will be frozen is replaced at once, and follows when it is back", async () => {
  const { device, all, talks } = await tabs(3);
  all[0]?.site.freeze();
  all[0]?.stop();
  await device.elapse(200);
  await allTalk(device, talks.slice(1), "after");
  expect(device.connected.size).toBe(1);
  all[0]?.resume();
  all[0]?.site.resume();
  await device.elapse(1_000);
  await allTalk(device, talks, "all together");
  expect(device.connected.size).toBe(1);
});

test("a follower that was frozen takes nothing from a leader that is there", async () => {
  // Stopped at any moment: while it waits for the leader's answer, too, which it hears behind its own timer.
  for (let at = 0; at < 450; at += 1) {
    const { device, all, talks } = await tabs(2);
    await device.elapse(at);
    all[1]?.stop();
    await device.elapse(5_000);
    all[1]?.resume();
    await device.elapse(1_500);
    await allTalk(device, talks, "after");
    expect(talks[0]?.connects, `stopped at ${at}`).toBe(1);
  }
});

test("a tab that dies leaves no stream behind at the leader", async () => {
  const { device, all, talks } = await tabs(2);
  all[1]?.kill();
  await device.elapse(10);
  expect(all[0]?.connection.forgotten).toEqual(["tab 1"]);
  expect(all[0]?.connection.size).toBe(1);
  await allTalk(device, talks.slice(0, 1), "after");
});

test("a tab that dies while the leader opens its stream leaves none behind", async () => {
  // A stream is opened in 5 ms: the death falls before, in the midst of that, and behind it.
  for (let at = 0; at < 12; at++) {
    const device = new Device();
    const leader = device.open("tab 0");
    await device.elapse(50);
    const follower = device.open("tab 1");
    follower.site.connect(null).catch(() => undefined);
    await device.elapse(at);
    follower.kill();
    await device.elapse(50);
    expect(leader.connection.size, `killed after ${at} ms`).toBe(0);
  }
});

test("X1: a follower that takes nothing is let go of, and comes again when it runs", async () => {
  const { device, all, talks } = await tabs(2);
  all[1]?.stop();
  for (let i = 0; i <= FRAMES_MAX; i++) device.streams[1]?.tell(utf8(`frame ${i}`));
  await device.elapse(5_000);
  await allTalk(device, talks.slice(0, 1), "after");
  all[1]?.resume();
  await device.elapse(1_000);
  expect(talks[1]?.ended).toEqual([`${FRAMES_MAX} frames were not taken`]);
  await allTalk(device, talks, "all together");
});

test("a refusal by the site comes through to the tab that asked", async () => {
  const { device, all } = await tabs(2);
  device.isDown = true;
  const asked = all[1]?.site.connect(null);
  asked?.catch(() => undefined);
  await device.elapse(100);
  await expect(asked).rejects.toMatchObject({ code: "UNAVAILABLE", details: "the site is down" });
});

test("a device that is offline ends its streams, and comes back", async () => {
  const { device, all, talks } = await tabs(3);
  for (const tab of all) tab.site.drop();
  await device.elapse(10);
  expect(talks.map(({ isOpen }) => isOpen)).toEqual([false, false, false]);
  expect(talks[2]?.ended).toEqual(["this device is offline"]);
  await device.elapse(1_000);
  await allTalk(device, talks, "back");
  expect(device.connected.size).toBe(1);
});

test("D7: whatever tabs are killed, frozen and opened: those that run have one leader within 2 s, and all reach the site", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const { device, all, talks } = await tabs(4, seed);
    const { random } = device;
    const live = new Map(all.map((tab, i) => [tab, talks[i]]));
    const frozen = new Set<Tab>();
    for (let step = 0; step < 12; step++) {
      const names = [...live.keys()];
      const tab = names[Math.floor(random.unit() * names.length)];
      const what = random.unit();
      if (tab === undefined || what < 0.25) {
        const opened = device.open(`tab ${seed}/${step}`);
        live.set(opened, new Conversation(device, opened));
      } else if (what < 0.5) {
        tab.kill();
        live.delete(tab);
        frozen.delete(tab);
      } else if (frozen.delete(tab)) tab.resume();
      else {
        tab.stop();
        frozen.add(tab);
      }
      if (random.unit() < 0.5) await device.elapse(random.unit() * 700);
      else {
        await device.elapse(2_000);
        const running = [...live].flatMap(([one, talk]) => (frozen.has(one) || talk === undefined ? [] : [talk]));
        await allTalk(device, running, `seed ${seed}, step ${step}`);
      }
    }
    for (const tab of frozen) tab.resume();
    await device.elapse(2_500);
    const rest = [...live.values()].filter((talk) => talk !== undefined);
    await allTalk(device, rest, `seed ${seed}, end`);
    expect(device.connected.size, `seed ${seed}`).toBe(Math.min(1, rest.length));
  }
});
