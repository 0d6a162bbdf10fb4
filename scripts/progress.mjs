/** One line that says what is going on: rewritten in place on a terminal, a new line now and then elsewhere. */

const PLAIN_EVERY_MS = 10_000;
const PAINT_EVERY_MS = 200;

/**
 * @param {string} title what is being done
 * @param {() => string} detail how far it is; asked whenever the line is painted
 * @returns {{ done(outcome: string): void }}
 */
export function progressLine(title, detail, stream = process.stderr) {
  const started = Date.now();
  const line = () => `${title}: ${detail()}${detail() === "" ? "" : ", "}${seconds(started)}`;
  const paint = stream.isTTY
    ? () => stream.write(`\r\x1b[K${line().slice(0, (stream.columns ?? 80) - 1)}`)
    : () => stream.write(`${line()}\n`);
  if (stream.isTTY) paint();
  else stream.write(`${title} …\n`);
  const timer = setInterval(paint, stream.isTTY ? PAINT_EVERY_MS : PLAIN_EVERY_MS);
  return {
    done(outcome) {
      clearInterval(timer);
      stream.write(`${stream.isTTY ? "\r\x1b[K" : ""}${title}: ${outcome} (${seconds(started)})\n`);
    },
  };
}

const seconds = (started) => `${((Date.now() - started) / 1000).toFixed(1)} s`;
