/** Sensor events of a site, as they stand under `quakes/<id>`: GeoJSON features of the U.S. Geological Survey. */

export const QUAKES_PREFIX = "quakes/";

export interface Quake {
  readonly id: string;
  readonly magnitude: number | null;
  readonly place: string;
  /** Ms since 1970. */
  readonly time: number;
  readonly longitude: number;
  readonly latitude: number;
}

/** The quake a value holds, or undefined if it holds none. */
export function parseQuake(key: string, value: string): Quake | undefined {
  let feature: unknown;
  try {
    feature = JSON.parse(value);
  } catch {
    return undefined;
  }
  const properties = field(feature, "properties");
  const coordinates = field(field(feature, "geometry"), "coordinates");
  const time = field(properties, "time");
  const place = field(properties, "place");
  const magnitude = field(properties, "mag");
  if (!Array.isArray(coordinates) || typeof time !== "number") return undefined;
  const [longitude, latitude] = coordinates as readonly unknown[];
  if (typeof longitude !== "number" || typeof latitude !== "number") return undefined;
  return {
    id: key.slice(QUAKES_PREFIX.length),
    magnitude: typeof magnitude === "number" ? magnitude : null,
    place: typeof place === "string" ? place : "somewhere",
    time,
    longitude,
    latitude,
  };
}

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;

export const newestFirst = (a: Quake, b: Quake): number => b.time - a.time || (a.id < b.id ? -1 : 1);
