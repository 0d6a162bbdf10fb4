/**
 * Takes a lock again and again, and acts as long as it is let: it never asks whether it still holds the lock, as a program
 * does that was halted between the question and the act. Its parent is the resource that it acts upon.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { utf8 } from "@openclaw/core/bytes.ts";
import { Lock } from "@openclaw/core/client/recipes/lock.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Operation } from "@openclaw/core/state-machine/operation.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";

const [ttl = "", ...gateways] = process.argv.slice(2);
const ACT_EVERY_MS = 20;

const codeOf = (error: unknown): string => (error instanceof OpenClawError ? error.code : String(error));

/** The highest of our tokens that was refused at the resource. */
let refusedTo = 0;
process.on("message", (message: { readonly refused: number }) => {
  refusedTo = Math.max(refusedTo, message.refused);
});
// Whoever started us is gone.
process.on("disconnect", () => process.exit(0));

const client = await openClaw({ gateways });
for (;;) {
  try {
    const lease = await client.leases.grant(Number(ttl));
    const held = await new Lock(client, "locks/till", lease).acquire();
    const { token } = held;
    const last: Operation = {
      kind: "put",
      key: utf8("last"),
      value: utf8(String(token)),
      lease: null,
      previous: false,
    };
    let refusedHere = false;
    for (; !refusedHere || refusedTo < token; await sleep(ACT_EVERY_MS)) {
      process.send?.({ act: token });
      client.kv
        .txn({ kind: "txn", compares: [held.fence], success: [last], failure: [] })
        .response.then(({ succeeded }) => {
          if (succeeded) return;
          refusedHere = true;
          process.send?.({ tooLate: token });
        })
        .catch((error: unknown) => process.send?.({ failed: codeOf(error) }));
    }
  } catch (error) {
    process.send?.({ failed: codeOf(error) });
    await sleep(100);
  }
}
