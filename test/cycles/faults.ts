/** What is done to a device and its site, and how often. */
import type { SeededRandom } from "../simulation/seeded-random.ts";

/** Ends a page; each cycle has one. */
export const ENDINGS = ["kill-browser", "crash-tab", "close-tab", "reload"] as const;
/** Follows some of the kills of the browser: its database is gone when it starts again. */
export const LOSS = "lose-database";
/** Goes on around it. */
export const TROUBLES = [
  "second-tab",
  "duplicate-tab",
  "offline",
  "kill-gateway",
  "kill-all-gateways",
  "clock-jump",
  "freeze",
] as const;

export type Ending = (typeof ENDINGS)[number];
export type Trouble = (typeof TROUBLES)[number];

/** When the page ends: with its edits made and being written, as soon as one is shown safe, or whenever. */
export type Moment = "made" | "device" | "later";

export const drawEnding = (random: SeededRandom): Ending =>
  random.weighted([
    ["kill-browser", 3],
    ["crash-tab", 3],
    ["close-tab", 2],
    ["reload", 2],
  ]);

/** After a kill of the browser. */
export const drawLoss = (random: SeededRandom): boolean => random.chance(0.03);

/** Null: none. */
export const drawTrouble = (random: SeededRandom): Trouble | null =>
  random.weighted<Trouble | null>([
    [null, 6],
    ["second-tab", 2],
    ["duplicate-tab", 2],
    ["offline", 2],
    ["kill-gateway", 1],
    ["kill-all-gateways", 1],
    ["clock-jump", 2],
    ["freeze", 1],
  ]);

export const drawMoment = (random: SeededRandom): Moment =>
  random.weighted([
    ["made", 2],
    ["device", 3],
    ["later", 2],
  ]);
