/** A moment in the words of the device's language: the time of day, and before today the date, too. */

/** @param seconds since 1970; 0 is no moment, and leaves the element empty: a change that all make alike has none */
export function timeElement(seconds: number): HTMLTimeElement {
  const time = document.createElement("time");
  if (seconds === 0) return time;
  const date = new Date(seconds * 1_000);
  const isToday = date.toDateString() === new Date().toDateString();
  time.dateTime = date.toISOString();
  time.textContent = isToday ? date.toLocaleTimeString() : date.toLocaleString();
  return time;
}
