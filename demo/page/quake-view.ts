/** The site's quakes as they stand in this device's mirror, in a list and on a map. */
import type { Client, KeyEvent } from "@openclaw/browser";
import { showQuakes } from "./quake-list.ts";
import { showMap } from "./quake-map.ts";
import { newestFirst, parseQuake, QUAKES_PREFIX, type Quake } from "./quakes.ts";

interface Places {
  readonly rows: HTMLElement;
  readonly count: HTMLElement;
  readonly map: HTMLElement;
}

const decoder = new TextDecoder();

/** Resolves when what is on this device is shown; what comes later is shown as it comes. */
export async function followQuakes(client: Client, places: Places): Promise<void> {
  const quakes = new Map<string, Quake>();
  let drawing = false;
  const draw = (): void => {
    drawing = false;
    const sorted = [...quakes.values()].sort(newestFirst);
    showQuakes(places.rows, places.count, sorted);
    showMap(places.map, sorted);
  };
  const changed = (): void => {
    // However many come at once, the next frame shows them all.
    if (!drawing) requestAnimationFrame(draw);
    drawing = true;
  };
  const put = (key: Uint8Array, value: Uint8Array): void => {
    const name = decoder.decode(key);
    const quake = parseQuake(name, decoder.decode(value));
    if (quake === undefined) quakes.delete(name);
    else quakes.set(name, quake);
  };
  const early: KeyEvent[] = [];
  let listed = false;
  const take = ({ kind, key, value }: KeyEvent): void => {
    if (kind === "put") put(key, value);
    else quakes.delete(decoder.decode(key));
  };
  client.kv.watch(QUAKES_PREFIX, (events) => {
    // A mirror of another site's quakes is not this site's.
    const own = events.filter((event) => event.origin === null);
    if (!listed) early.push(...own);
    else {
      for (const event of own) take(event);
      if (own.length > 0) changed();
    }
  });
  try {
    for (const { key, value } of await client.kv.list(QUAKES_PREFIX)) put(key, value);
  } catch (error) {
    // Nothing is mirrored before the first visit to the site; the stream then brings all of it.
    if (!(error instanceof Error) || !("code" in error) || error.code !== "UNAVAILABLE") throw error;
  }
  listed = true;
  for (const event of early) take(event);
  changed();
}
