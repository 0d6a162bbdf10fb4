/** The week of earthquakes as sensors would send it: one event when it happens, a second one when it is revised. */
import { readFile } from "node:fs/promises";
import * as z from "zod";
import { Refusal } from "./refusal.ts";

export interface QuakeEvent {
  /** Ms since 1970. */
  readonly at: number;
  readonly network: string;
  readonly key: string;
  /** GeoJSON feature. */
  readonly value: Uint8Array<ArrayBuffer>;
  /** The event before it of the same quake must be acknowledged first. */
  readonly revises: boolean;
}

const feature = z.looseObject({
  type: z.literal("Feature"),
  id: z.string().regex(/^[A-Za-z0-9_-]{1,100}$/, "an id of letters, digits, - and _"),
  properties: z.looseObject({ time: z.number().int(), updated: z.number().int(), net: z.string() }),
});
const quakeFile = z.object({ type: z.literal("FeatureCollection"), features: z.array(feature) });

/**
 * Reads a GeoJSON feed of the U.S. Geological Survey.
 * @returns all events of all networks, in the order in which they happened
 * @throws Refusal
 */
export async function loadQuakes(file: string): Promise<readonly QuakeEvent[]> {
  const text = await readFile(file, "utf8").catch((error: Error) => {
    throw new Refusal(`The earthquakes cannot be read: ${error.message}`);
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Refusal(`${file} is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseQuakes(json, file);
}

/** @throws Refusal */
export function parseQuakes(json: unknown, file: string): readonly QuakeEvent[] {
  const parsed = quakeFile.safeParse(json);
  if (!parsed.success) throw new Refusal(`${file} is no feed of earthquakes: ${z.prettifyError(parsed.error)}`);
  const ids = new Set<string>();
  const events = parsed.data.features.flatMap((quake): QuakeEvent[] => {
    if (ids.has(quake.id)) throw new Refusal(`${file} has two earthquakes with the id ${quake.id}`);
    ids.add(quake.id);
    const { time, updated, net } = quake.properties;
    const first = { ...quake, properties: { ...quake.properties, updated: time } };
    const common = { network: net, key: `quakes/${quake.id}` };
    const happened = { ...common, at: time, value: bytesOf(first), revises: false };
    return updated > time ? [happened, { ...common, at: updated, value: bytesOf(quake), revises: true }] : [happened];
  });
  return events.sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}

const bytesOf = (json: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(json));
