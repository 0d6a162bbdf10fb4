/** A device that drives between two sites at random, edits, puts and dies: in the end both have the documents, and each put ran once, at the site that it was made for. */
import { expect, test } from "vitest";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { append } from "./log.ts";
import { hashesAt, putsAt, Van } from "./van.ts";

const STEPS = 40;
const DOCUMENTS = ["a", "b", "c"];

async function walk(seed: number): Promise<void> {
  const { world, shop, depot, van } = await Van.between({}, seed);
  const random = new SeededRandom(seed + 1_000);
  const wanted: Record<string, Record<string, number>> = { shop: {}, depot: {} };
  const hashes = new Map<string, Set<string>>(DOCUMENTS.map((id) => [id, new Set()]));
  const stored: Promise<unknown>[] = [];
  let made = 0;
  const edit = async (id: string): Promise<void> => {
    const handle = await van.open(id);
    const change = handle.change(append(`${made++} `));
    const keep = () => {
      for (const hash of change.hashes) hashes.get(id)?.add(hash);
    };
    stored.push(change.device.then(keep));
    handle.close();
  };
  const put = (): void => {
    const at = van.client.status().cluster ?? "";
    const key = `k${made++}`;
    stored.push(
      van.client.kv.put(key, "v").device.then(() => {
        wanted[at] = { ...wanted[at], [key]: 1 };
      }),
    );
  };
  const go = (to: typeof van.at): void => {
    van.at = to;
    world.cutAll();
  };
  for (const id of DOCUMENTS) await edit(id);
  await world.elapse(1_000);
  for (let step = 0; step < STEPS; step++) {
    switch (random.below(8)) {
      case 0:
        go(shop);
        break;
      case 1:
        go(depot);
        break;
      case 2:
        go(null);
        break;
      case 3:
        if (van.at !== null) van.store.writesLeft = random.below(6);
        await world.elapse(random.below(5_000));
        van.die();
        await van.wake();
        break;
      case 4:
      case 5:
        await edit(DOCUMENTS[random.below(DOCUMENTS.length)] ?? "a");
        break;
      default:
        put();
    }
    if (random.below(2) === 0) await world.deliver(random.below(12));
    else await world.elapse(random.below(15_000));
  }
  van.client.goOnline();
  for (const site of [shop, depot, shop, depot]) await van.drive(site, 60_000);
  await Promise.race([Promise.all(stored), world.elapse(1)]);
  expect(van.client.status(), `seed ${seed}`).toMatchObject({
    unsynced: 0,
    failed: 0,
    link: "online",
    lastError: null,
  });
  expect([putsAt(shop), putsAt(depot)], `seed ${seed}`).toEqual([wanted.shop, wanted.depot]);
  for (const id of DOCUMENTS) {
    const at = await hashesAt(shop, id);
    expect(await hashesAt(depot, id), `seed ${seed}`).toEqual(at);
    for (const hash of hashes.get(id) ?? []) expect(at, `seed ${seed}: ${id}`).toContain(hash);
  }
}

for (let seed = 1; seed <= 20; seed++) test(`D6, Q1: walk ${seed}`, () => walk(seed));
