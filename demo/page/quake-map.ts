/** A map of quakes as SVG: a graticule and a circle each, no tiles, so that it is there offline. */
import type { Quake } from "./quakes.ts";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const HEIGHT = 360;
/** Share of the spread left free around the outermost quakes. */
const MARGIN = 0.08;
/** Degrees shown at least. */
const SPAN_MIN = 2;
const STEPS = [0.5, 1, 2, 5, 10, 20, 30];
const LINES_WANTED = 6;
/** Room for a label before the right edge. */
const LABEL_WIDTH = 45;

interface Frame {
  readonly west: number;
  readonly east: number;
  readonly south: number;
  readonly north: number;
}

export function showMap(container: HTMLElement, quakes: readonly Quake[]): void {
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label(quakes) });
  const placed = unwrap(quakes);
  const frame = frameOf(placed);
  const x = (longitude: number): number => ((longitude - frame.west) / (frame.east - frame.west)) * WIDTH;
  const y = (latitude: number): number => ((frame.north - latitude) / (frame.north - frame.south)) * HEIGHT;

  const step = STEPS.find((degrees) => (frame.east - frame.west) / degrees <= LINES_WANTED) ?? 60;
  for (let degrees = Math.ceil(frame.west / step) * step; degrees < frame.east; degrees += step) {
    svg.append(element("line", { class: "grid", x1: x(degrees), x2: x(degrees), y1: 0, y2: HEIGHT }));
    if (x(degrees) < WIDTH - LABEL_WIDTH) svg.append(text(x(degrees) + 3, HEIGHT - 5, longitudeText(degrees)));
  }
  for (let degrees = Math.ceil(frame.south / step) * step; degrees < frame.north; degrees += step) {
    svg.append(element("line", { class: "grid", x1: 0, x2: WIDTH, y1: y(degrees), y2: y(degrees) }));
    svg.append(text(4, y(degrees) - 4, `${Math.abs(degrees)}° ${degrees < 0 ? "S" : "N"}`));
  }
  // Oldest first, so that the newest lies on top.
  for (const [index, quake] of placed.toReversed().entries()) {
    const circle = element("circle", {
      class: index === placed.length - 1 ? "quake latest" : "quake",
      cx: x(quake.longitude).toFixed(1),
      cy: y(quake.latitude).toFixed(1),
      r: (2 + 1.9 * Math.max(0, quake.magnitude ?? 0)).toFixed(1),
    });
    const title = element("title", {});
    title.textContent = `${quake.magnitude?.toFixed(1) ?? "–"} ${quake.place}`;
    circle.append(title);
    svg.append(circle);
  }
  container.replaceChildren(svg);
}

/** Alaska reaches over the date line: longitudes are turned to lie around the quakes' own middle. */
function unwrap(quakes: readonly Quake[]): Quake[] {
  const west = quakes.filter((quake) => quake.longitude < 0).length;
  const middle = west * 2 >= quakes.length ? -110 : 110;
  return quakes.map((quake) => {
    const turns = Math.round((middle - quake.longitude) / 360);
    return turns === 0 ? quake : { ...quake, longitude: quake.longitude + 360 * turns };
  });
}

/** The smallest frame of the map's shape that holds all, with degrees of longitude shortened as at its middle latitude. */
function frameOf(quakes: readonly Quake[]): Frame {
  if (quakes.length === 0) return { west: -180, east: 180, south: -80, north: 80 };
  let [west, east, south, north] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { longitude, latitude } of quakes) {
    west = Math.min(west, longitude);
    east = Math.max(east, longitude);
    south = Math.min(south, latitude);
    north = Math.max(north, latitude);
  }
  const shrink = Math.max(0.2, Math.cos((((south + north) / 2) * Math.PI) / 180));
  const tall = Math.max(SPAN_MIN, north - south, ((east - west) * shrink * HEIGHT) / WIDTH) * (1 + 2 * MARGIN);
  const wide = (tall * WIDTH) / HEIGHT / shrink;
  const [middleX, middleY] = [(west + east) / 2, (south + north) / 2];
  return { west: middleX - wide / 2, east: middleX + wide / 2, south: middleY - tall / 2, north: middleY + tall / 2 };
}

const label = (quakes: readonly Quake[]): string =>
  quakes.length === 0 ? "Map, empty" : `Map of ${quakes.length} quakes`;

function longitudeText(degrees: number): string {
  const turned = ((((degrees + 180) % 360) + 360) % 360) - 180;
  if (turned === 0 || turned === -180) return `${Math.abs(turned)}°`;
  return `${Math.abs(turned)}° ${turned < 0 ? "W" : "E"}`;
}

function text(x: number, y: number, content: string): SVGElement {
  const node = element("text", { class: "label", x: x.toFixed(1), y: y.toFixed(1), "aria-hidden": "true" });
  node.textContent = content;
  return node;
}

function element(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  return node;
}
