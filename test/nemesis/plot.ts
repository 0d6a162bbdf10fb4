/**
 * The run as one SVG that needs nothing else: operations by outcome, their latency, acknowledged writes, and the faults
 * as bands, over time.
 */
import type { Band } from "./nemesis.ts";
import type { Ending, Observation } from "./observations.ts";

const WIDTH = 1_280;
const LEFT = 130;
const RIGHT = 20;
const BUCKETS = 400;
const ENDINGS: readonly { readonly ending: Ending; readonly colour: string; readonly what: string }[] = [
  { ending: "ok", colour: "#2f7d4f", what: "answered" },
  { ending: "refused", colour: "#c79a1e", what: "refused (differs, absent)" },
  { ending: "unreachable", colour: "#a3a3a3", what: "node unreachable" },
  { ending: "unknown", colour: "#b3341f", what: "outcome unknown" },
];
const LANE_COLOURS: Readonly<Record<Band["lane"], string>> = { nodes: "#5b6bb5", network: "#8a5a9e", alone: "#3f3f46" };

interface Panel {
  readonly top: number;
  readonly height: number;
}
const RATE: Panel = { top: 50, height: 200 };
const LATENCY: Panel = { top: 300, height: 200 };
/** Rows of the faults' bands begin here, one a fault. */
const FAULTS = { top: 550, row: 16 };

/** Ms that the latency's scale begins and ends with. */
const LATENCY_MS = { from: 1, to: 10_000 };

export function plot(observations: readonly Observation[], bands: readonly Band[]): string {
  const end = Math.max(1, ...bands.map(({ until, from }) => until ?? from), lastOf(observations));
  const x = (ms: number): number => LEFT + (ms / end) * (WIDTH - LEFT - RIGHT);
  const names = [...new Set(bands.map(({ fault }) => fault))].sort();
  const height = FAULTS.top + FAULTS.row * names.length + 40;
  const parts = [
    ...shades(bands, x, end),
    ...rates(observations, x, end),
    ...latencies(observations, x),
    ...faultRows(bands, names, x, end),
    ...timeAxis(x, end, FAULTS.top + FAULTS.row * names.length + 4),
  ];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
    `font-family="sans-serif" font-size="11" fill="#222">\n<rect width="100%" height="100%" fill="#fff"/>\n${parts.join("\n")}\n</svg>\n`
  );
}

/** No spread of arrays: there may be a million. */
const lastOf = (observations: readonly Observation[]): number =>
  observations.reduce((last, { until }) => Math.max(last, until), 0);

function shades(bands: readonly Band[], x: (ms: number) => number, end: number): readonly string[] {
  return bands.flatMap(({ lane, from, until }) =>
    [RATE, LATENCY].map(({ top, height }) =>
      rect(x(from), top, x(until ?? end) - x(from), height, LANE_COLOURS[lane], `fill-opacity="0.08"`),
    ),
  );
}

/** Stacked, by when the operation ended. */
function rates(observations: readonly Observation[], x: (ms: number) => number, end: number): readonly string[] {
  const bucketMs = end / BUCKETS;
  const counts = Array.from(
    { length: BUCKETS },
    (): Record<Ending, number> => ({ ok: 0, refused: 0, unreachable: 0, unknown: 0 }),
  );
  for (const { until, ending } of observations) {
    const bucket = counts[Math.min(BUCKETS - 1, Math.floor(until / bucketMs))];
    if (bucket !== undefined) bucket[ending]++;
  }
  const perSecond = (count: number): number => (count * 1_000) / bucketMs;
  const most = Math.max(
    1,
    ...counts.map(({ ok, refused, unreachable, unknown }) => perSecond(ok + refused + unreachable + unknown)),
  );
  const parts = [text(LEFT, RATE.top - 12, "operations a second", `font-weight="bold"`)];
  let legendX = LEFT + 140;
  for (const { colour, what } of ENDINGS) {
    parts.push(rect(legendX, RATE.top - 21, 10, 10, colour), text(legendX + 14, RATE.top - 12, what));
    legendX += 40 + what.length * 6;
  }
  for (const [i, bucket] of counts.entries()) {
    let bottom = RATE.top + RATE.height;
    for (const { ending, colour } of ENDINGS) {
      const height = (perSecond(bucket[ending]) / most) * RATE.height;
      if (height > 0) parts.push(rect(x(i * bucketMs), bottom - height, x(bucketMs) - LEFT, height, colour));
      bottom -= height;
    }
  }
  return [
    ...parts,
    ...yAxis(
      RATE,
      [0, 0.5, 1].map((part) => ({ part, label: String(Math.round(part * most)) })),
    ),
  ];
}

/** A dot an operation; on a logarithmic scale. */
function latencies(observations: readonly Observation[], x: (ms: number) => number): readonly string[] {
  const decades = Math.log10(LATENCY_MS.to / LATENCY_MS.from);
  const part = (ms: number): number =>
    Math.min(1, Math.max(0, Math.log10(Math.max(ms, LATENCY_MS.from) / LATENCY_MS.from) / decades));
  const parts = [text(LEFT, LATENCY.top - 12, "latency, ms (a dot an operation, at its end)", `font-weight="bold"`)];
  for (const { ending, colour } of ENDINGS) {
    const dots = new Set<string>();
    for (const { from, until, ending: its } of observations) {
      if (its !== ending) continue;
      const y = LATENCY.top + LATENCY.height * (1 - part(until - from));
      // To the half pixel: a million operations are still a small file.
      dots.add(`M${half(x(until))} ${half(y)}h0`);
    }
    parts.push(
      `<path d="${[...dots].join("")}" stroke="${colour}" stroke-width="1.6" stroke-linecap="round" stroke-opacity="0.6"/>`,
    );
  }
  const ticks = Array.from({ length: decades + 1 }, (_, i) => LATENCY_MS.from * 10 ** i);
  return [
    ...parts,
    ...yAxis(
      LATENCY,
      ticks.map((ms) => ({ part: part(ms), label: String(ms) })),
    ),
  ];
}

function faultRows(
  bands: readonly Band[],
  names: readonly string[],
  x: (ms: number) => number,
  end: number,
): readonly string[] {
  const parts = [text(LEFT, FAULTS.top - 12, "faults", `font-weight="bold"`)];
  for (const [row, name] of names.entries()) {
    const top = FAULTS.top + row * FAULTS.row;
    for (const { fault, lane, what, from, until } of bands) {
      if (fault !== name) continue;
      const width = Math.max(1, x(until ?? end) - x(from));
      const title = `<title>${escaped(`${(from / 1_000).toFixed(1)} s: ${what}`)}</title>`;
      parts.push(
        `<g>${title}${rect(x(from), top + 2, width, FAULTS.row - 4, LANE_COLOURS[lane], `fill-opacity="0.75"`)}</g>`,
      );
    }
    parts.push(text(LEFT - 6, top + FAULTS.row - 4, name, `text-anchor="end"`));
  }
  return parts;
}

function timeAxis(x: (ms: number) => number, end: number, top: number): readonly string[] {
  const step = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600].find((s) => end / 1_000 / s <= 15) ?? 7_200;
  const parts = [text(WIDTH - RIGHT, top + 30, "seconds", `text-anchor="end"`)];
  for (let second = 0; second * 1_000 <= end; second += step) {
    const at = x(second * 1_000);
    parts.push(`<path d="M${half(at)} ${RATE.top}V${top}" stroke="#ccc" stroke-width="0.5"/>`);
    parts.push(text(at, top + 14, String(second), `text-anchor="middle"`));
  }
  return parts;
}

function yAxis(
  { top, height }: Panel,
  ticks: readonly { readonly part: number; readonly label: string }[],
): readonly string[] {
  return ticks.flatMap(({ part, label }) => {
    const y = top + height * (1 - part);
    return [
      `<path d="M${LEFT} ${half(y)}H${WIDTH - RIGHT}" stroke="#ccc" stroke-width="0.5"/>`,
      text(LEFT - 6, y + 4, label, `text-anchor="end"`),
    ];
  });
}

const half = (number: number): number => Math.round(number * 2) / 2;
const tenth = (number: number): number => Math.round(number * 10) / 10;

const rect = (x: number, y: number, width: number, height: number, fill: string, more = ""): string =>
  `<rect x="${tenth(x)}" y="${tenth(y)}" width="${tenth(width)}" height="${tenth(height)}" fill="${fill}" ${more}/>`;

const text = (x: number, y: number, content: string, more = ""): string =>
  `<text x="${tenth(x)}" y="${tenth(y)}" ${more}>${escaped(content)}</text>`;

const escaped = (content: string): string =>
  content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
