/** D5, D6. Whatever becomes of provisional changes, all replicas end with what the site has, and nothing else. */
import * as Automerge from "@automerge/automerge";
import type { Client } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { ProvisionalGateway, type ProvisionalSession, type ViewerOptions } from "@openclaw/core/provisional/gateway.ts";
import type { ProvisionalChanges } from "@openclaw/core/provisional/message.ts";
import { expect, test } from "vitest";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import type { VirtualClock } from "../../simulation/virtual-clock.ts";
import { described } from "../documents/changes.ts";
import { type TestCluster, World } from "../sync/world.ts";
import type { Log } from "./log.ts";

const NAMED = { collection: "log", document: "today" };
const STEPS = 120;
const DEVICES = 3;

/** Loses, doubles, delays and so reorders what clients are shown. */
class Chaos {
  readonly gateway: ProvisionalGateway;
  readonly #clock: VirtualClock;
  readonly #random: SeededRandom;
  shown = 0;

  constructor(clock: VirtualClock, random: SeededRandom) {
    this.#clock = clock;
    this.#random = random;
    this.gateway = new ProvisionalGateway({ clock, publish: () => undefined });
  }

  join(viewer: ViewerOptions): ProvisionalSession {
    let open = true;
    const later = (changes: ProvisionalChanges): void => {
      this.#clock.after(this.#random.below(3_000), () => {
        if (open && viewer.send(changes)) this.shown++;
      });
    };
    const session = this.gateway.join({
      ...viewer,
      send: (changes) => {
        const fate = this.#random.below(8);
        if (fate === 0) return true;
        if (fate <= 3) {
          this.shown++;
          return viewer.send(changes);
        }
        later(changes);
        if (fate === 4) later(changes);
        return true;
      },
    });
    return {
      offer: (changes) => session.offer(changes),
      close: () => {
        open = false;
        session.close();
      },
    };
  }
}

class Device {
  readonly store = new MemoryClientStore();
  readonly #world: World;
  readonly #site: TestCluster;
  client: Client | null = null;
  handle: DocumentHandle<Log> | null = null;

  constructor(world: World, site: TestCluster) {
    this.#world = world;
    this.#site = site;
  }

  async start(): Promise<void> {
    if (this.client !== null) return;
    const client = await this.#world.client(this.#site, { store: this.store });
    this.client = client;
    await this.#world.flush();
    const opening = client.docs.open<Log>("log", "today", { initial: { text: "" } });
    await this.#world.flush();
    this.handle = await opening;
  }

  async stop(): Promise<void> {
    await this.client?.stop();
    this.client = null;
    this.handle = null;
  }

  get open(): DocumentHandle<Log> {
    if (this.handle === null) throw new Error("the device is down");
    return this.handle;
  }
}

const sorted = (changes: readonly { readonly hash: string }[]): readonly string[] =>
  changes.map(({ hash }) => hash).sort();

/** Somebody's who is never heard of again, or whose other change with the same number is committed (D2). */
function ghost({ open }: Device, random: SeededRandom, number: number) {
  const before = open.heads();
  const make = (text: string) => {
    const doc = Automerge.clone(open.doc(), { actor: number.toString(16).padStart(8, "0") });
    const next = Automerge.change(doc, (draft) => Automerge.splice(draft, ["text"], 0, 0, text));
    return Automerge.getChangesSince(next, [...before]).map(described);
  };
  return { shown: make("g"), twin: random.below(3) === 0 ? make("t") : [] };
}

function edit({ open }: Device, random: SeededRandom): void {
  try {
    open.change((draft) => {
      const at = random.below(draft.text.length + 1);
      const cut = random.below(3) === 0 ? Math.min(2, draft.text.length - at) : 0;
      Automerge.splice(draft as Automerge.Doc<Log>, ["text"], at, cut, "abcdef"[random.below(6)]);
    });
  } catch (error) {
    // While it goes back to what is stored.
    if (!(error instanceof OpenClawError) || error.code !== "CLIENT_STORAGE_FAILED") throw error;
  }
}

async function run(seed: number): Promise<{ readonly shown: number; readonly most: number }> {
  const random = new SeededRandom(seed);
  const world = new World(seed);
  const chaos = new Chaos(world.clock, random);
  world.doors = { ...world.doors, provisional: chaos };
  const site = await world.cluster("california");
  const devices = Array.from({ length: DEVICES }, () => new Device(world, site));
  for (const device of devices) await device.start();
  let most = 0;
  for (let step = 0; step < STEPS; step++) {
    const up = devices.filter(({ client }) => client !== null);
    const device = up[random.below(up.length)];
    const what = random.below(20);
    if (device === undefined || what === 0) for (const one of devices) await one.start();
    else if (what <= 8) edit(device, random);
    else if (what <= 10) {
      const { shown, twin } = ghost(device, random, step + 1);
      chaos.gateway.heard({ ...NAMED, changes: shown });
      if (twin.length > 0) await site.execute({ kind: "change", ...NAMED, changes: twin });
    } else if (what === 11) await device.stop();
    else if (what === 12) world.cutAll();
    else if (what === 13) site.loseImports = random.below(3);
    else if (what === 14) device.client?.goOffline();
    else if (what === 15) device.client?.goOnline();
    else await world.elapse(random.below(what === 16 ? 40_000 : 400));
    if (random.below(2) === 0) await world.flush();
    most = Math.max(most, ...devices.map(({ handle }) => handle?.provisional() ?? 0));
  }
  site.loseImports = 0;
  for (const device of devices) {
    await device.start();
    device.client?.goOnline();
  }
  await world.elapse(120_000);
  const { changes } = await site.read({ kind: "document", ...NAMED, after: 0, limit: 10_000 });
  const expected = sorted(changes);
  for (const { open, store } of devices) {
    expect(open.provisional()).toBe(0);
    expect(sorted(open.history())).toEqual(expected);
    expect(sorted(await store.document("log", "today"))).toEqual(expected);
    expect(open.doc()).toEqual(devices[0]?.open.doc());
  }
  return { shown: chaos.shown, most };
}

test("D5, D6: lost, doubled, delayed and never committed, in the end all have the same, and nothing is provisional", async () => {
  let shown = 0;
  let most = 0;
  for (let seed = 1; seed <= 6; seed++) {
    const one = await run(seed);
    shown += one.shown;
    most = Math.max(most, one.most);
  }
  // It was about something.
  expect(shown).toBeGreaterThan(50);
  expect(most).toBeGreaterThan(2);
});
