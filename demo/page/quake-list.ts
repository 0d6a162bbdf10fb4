/** The table of quakes, newest first. */
import type { Quake } from "./quakes.ts";

/** Rows shown; the map has them all. */
const ROWS_MAX = 100;
/** From this magnitude on a quake is marked. */
const LARGE = 4;

export function showQuakes(body: HTMLElement, count: HTMLElement, quakes: readonly Quake[]): void {
  const shown = quakes.slice(0, ROWS_MAX);
  body.replaceChildren(...shown.map(row));
  const total = `${quakes.length} ${quakes.length === 1 ? "quake" : "quakes"}, newest first`;
  count.textContent =
    quakes.length === 0 ? "None yet." : quakes.length > ROWS_MAX ? `${total}; ${ROWS_MAX} listed.` : `${total}.`;
  count.dataset.count = String(quakes.length);
}

function row(quake: Quake): HTMLTableRowElement {
  const row = document.createElement("tr");
  row.dataset.id = quake.id;
  const magnitude = row.insertCell();
  magnitude.textContent = quake.magnitude === null ? "–" : quake.magnitude.toFixed(1);
  if ((quake.magnitude ?? 0) >= LARGE) magnitude.className = "large";
  row.insertCell().textContent = quake.place;
  const time = document.createElement("time");
  const iso = new Date(quake.time).toISOString();
  time.dateTime = iso;
  time.textContent = iso.slice(5, 16).replace("T", " ");
  row.insertCell().append(time);
  return row;
}
