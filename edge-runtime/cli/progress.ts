/** A bar on a terminal, on standard error; nothing elsewhere, so that scripts read results only. */
import { SingleBar } from "cli-progress";

export interface Progress {
  show(done: number, of: number): void;
  stop(): void;
}

export function progressBar(title: string): Progress {
  if (!process.stderr.isTTY) return { show: () => {}, stop: () => {} };
  const bar = new SingleBar({
    format: `${title} {bar} {percentage} % | {value} of {total}`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  let started = false;
  return {
    show(done, of) {
      if (started) bar.setTotal(of);
      else bar.start(of, 0);
      started = true;
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}
