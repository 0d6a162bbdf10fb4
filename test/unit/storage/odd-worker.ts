/** A storage worker that answers `echo`, leaves `wait` unanswered, and dies of `crash` or `exit`. */
import { WorkerPort } from "@openclaw/edge-runtime/storage/worker-port.ts";

export interface OddCalls {
  echo: { ask: Uint8Array; answer: Uint8Array };
  wait: { ask: null; answer: null };
  refuse: { ask: string; answer: null };
  crash: { ask: null; answer: null };
  exit: { ask: null; answer: null };
  close: { ask: null; answer: null };
}

const port = new WorkerPort<OddCalls>();
port.serve((calls) => {
  for (const call of calls) {
    if (call.kind === "echo") port.answer(call, call.ask);
    if (call.kind === "refuse") port.fail(call, new Error(call.ask));
    if (call.kind === "crash") throw new Error("out of order");
    if (call.kind === "exit") process.exit(3);
    if (call.kind === "close") {
      port.answer(call, null);
      port.close();
    }
  }
});
