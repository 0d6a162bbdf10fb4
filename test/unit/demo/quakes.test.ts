import { loadQuakes, parseQuakes } from "@openclaw/demo/quakes.ts";
import { expect, test } from "vitest";

const QUAKES = new URL("../../data/earthquakes.json", import.meta.url).pathname;

const quake = (id: string, time: number, updated: number) => ({
  type: "Feature",
  id,
  properties: { time, updated, net: "ci", mag: 1 },
  geometry: null,
});

test("every quake is an event, and a revised one a second event later", () => {
  const events = parseQuakes(
    { type: "FeatureCollection", features: [quake("b", 20, 50), quake("a", 10, 30), quake("c", 5, 5)] },
    "f",
  );
  expect(events.map(({ at, key, revises }) => [at, key, revises])).toEqual([
    [5, "quakes/c", false],
    [10, "quakes/a", false],
    [20, "quakes/b", false],
    [30, "quakes/a", true],
    [50, "quakes/b", true],
  ]);
  const updated = events
    .filter(({ key }) => key === "quakes/a")
    .map(({ value }) => JSON.parse(new TextDecoder().decode(value)).properties.updated);
  expect(updated).toEqual([10, 30]);
});

test("the week has 3,414 events, 2,106 of them of the two sites' networks", async () => {
  const events = await loadQuakes(QUAKES);
  expect(events).toHaveLength(2 * 1_707);
  expect(events.filter(({ network }) => ["ci", "nc", "ak"].includes(network))).toHaveLength(2 * (386 + 370 + 297));
});

test("a file that is no feed is refused in words", async () => {
  expect(() => parseQuakes({ type: "FeatureCollection" }, "f")).toThrow(/f is no feed of earthquakes/);
  expect(() => parseQuakes({ type: "FeatureCollection", features: [quake("a", 1, 2), quake("a", 3, 4)] }, "f")).toThrow(
    /two earthquakes/,
  );
  await expect(loadQuakes("no-such-file")).rejects.toThrow(/cannot be read/);
});
