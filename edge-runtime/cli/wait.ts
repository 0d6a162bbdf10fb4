/** Waiting for a node that is starting. */
import { setTimeout as sleep } from "node:timers/promises";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ApiClient } from "./client.ts";

export const WAIT_SECONDS = 30;
/** Ms between two looks. */
const POLL_MS = 200;

/** Resolves when the node is ready: it answers, and knows a leader. @throws OpenClawError the last failure, when the time is over */
export async function untilReady(client: ApiClient, seconds: number): Promise<void> {
  const deadline = performance.now() + 1_000 * seconds;
  for (;;) {
    try {
      await client.json({ method: "GET", path: "/readyz" });
      return;
    } catch (error) {
      if (!(error instanceof OpenClawError) || !error.retryable || performance.now() >= deadline) throw error;
      await sleep(POLL_MS);
    }
  }
}
