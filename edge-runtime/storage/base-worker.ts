/** Reads one base out of a copy of the state (core/history/base.ts), part by part. */
import { invariant } from "@openclaw/core/errors.ts";
import { type BasePart, baseParts } from "@openclaw/core/history/base.ts";
import { encodeBasePart } from "@openclaw/core/history/base-codec.ts";
import type { BaseCalls } from "./base-protocol.ts";
import { sha256 } from "./sha256.ts";
import { soundBytes } from "./snapshot-pieces.ts";
import { openToRead, storageError } from "./sqlite.ts";
import { StateTables } from "./state-tables.ts";
import type { Call } from "./worker-calls.ts";
import { WorkerPort } from "./worker-port.ts";

const port = new WorkerPort<BaseCalls>();
let parts: Generator<BasePart> | null = null;

port.serve((calls) => {
  for (const call of calls) void answer(call);
});

async function answer(call: Call<BaseCalls>): Promise<void> {
  try {
    await run(call);
  } catch (error) {
    port.fail(call, storageError(error, "reading a copy of the state"));
  }
}

async function run(call: Call<BaseCalls>): Promise<void> {
  switch (call.kind) {
    case "open":
      return port.answer(call, await open(call.ask));
    case "part": {
      invariant(parts !== null, "a copy is opened before it is read");
      const next = parts.next();
      if (next.done === true) return port.answer(call, null);
      const part = encodeBasePart(next.value);
      return port.answer(call, part, [part.buffer]);
    }
  }
}

async function open({ path, pieces, bytes }: BaseCalls["open"]["ask"]): Promise<boolean> {
  if ((await soundBytes(path, pieces)) !== bytes) return false;
  const tables = new StateTables(openToRead(path));
  const { state, history } = tables;
  parts = baseParts({ state, index: history, records: (from, maxBytes) => tables.records(from, maxBytes) }, sha256);
  return true;
}
