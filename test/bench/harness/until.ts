/** Waits for a process to come up. */
import { setTimeout as sleep } from "node:timers/promises";

const READY_MS_MAX = 60_000;
const POLL_MS = 20;

/** Asks until it is so; a question that fails is asked again. @throws Error when it never is */
export async function until(ask: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + READY_MS_MAX;
  for (;;) {
    try {
      if (await ask()) return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    if (performance.now() > deadline) throw new Error("it did not come up");
    await sleep(POLL_MS);
  }
}
