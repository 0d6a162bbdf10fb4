/** The thread in which Automerge runs: never on the main thread, and with a heap of its own to exhaust. */
import { parentPort } from "node:worker_threads";
import { decodeChange } from "@automerge/automerge";
import { type ChangeFault, changeFault } from "@openclaw/core/documents/change-check.ts";
import { invariant, OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { NODE_TOOLS } from "./chunk-tools.ts";
import { DocumentCache } from "./document-cache.ts";
import type { Job, JobAnswers, JobReply } from "./job.ts";

const documents = new DocumentCache();

function answer(job: Job): JobAnswers[keyof JobAnswers] {
  switch (job.kind) {
    case "check":
      return checkAll(job.changes);
    case "position":
      return documents.position(job.name);
    case "extend":
      return documents.extend(job.name, job.after, job.changes, job.finish);
    case "forget":
      documents.forget(job.name);
      return null;
    default:
      return unreachable(job);
  }
}

function checkAll(changes: readonly DocumentChange[]): JobAnswers["check"] {
  for (const [at, change] of changes.entries()) {
    const fault = faultOf(change);
    if (fault !== null) return { at, ...fault };
  }
  return null;
}

function faultOf(change: DocumentChange): ChangeFault | null {
  const fault = changeFault(change, NODE_TOOLS);
  if (fault !== null) return fault;
  try {
    decodeChange(change.bytes);
  } catch {
    return { code: "CHANGE_INVALID", details: "Automerge cannot decode it" };
  }
  return null;
}

invariant(parentPort !== null, "change-worker runs in a worker thread");
const port = parentPort;
port.on("message", (job: Job) => {
  let reply: JobReply;
  try {
    reply = { ok: true, answer: answer(job) };
  } catch (error) {
    reply =
      error instanceof OpenClawError
        ? { ok: false, code: error.code, details: error.details }
        : { ok: false, code: "INTERNAL", details: error instanceof Error ? error.message : String(error) };
  }
  port.postMessage(reply);
});
