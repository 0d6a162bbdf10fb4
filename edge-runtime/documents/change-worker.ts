/** The thread in which Automerge runs: never on the main thread, and with a heap of its own to exhaust. */
import { parentPort } from "node:worker_threads";
import { decodeChange } from "@automerge/automerge";
import { invariant, OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { inspectChange } from "./change-chunk.ts";
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
    try {
      checkOne(change);
    } catch (error) {
      if (!(error instanceof OpenClawError)) throw error;
      return { at, code: error.code, details: error.details };
    }
  }
  return null;
}

/** @throws OpenClawError CHANGE_INVALID, CHANGE_TOO_LARGE */
function checkOne(change: DocumentChange): void {
  const hash = inspectChange(change.bytes);
  const disagree = (part: string) => new OpenClawError("CHANGE_INVALID", `its ${part} is not the one claimed`);
  if (hash !== change.hash) throw disagree("hash");
  let decoded: ReturnType<typeof decodeChange>;
  try {
    decoded = decodeChange(change.bytes);
  } catch (error) {
    throw new OpenClawError("CHANGE_INVALID", "Automerge cannot decode it", { cause: error });
  }
  if (decoded.actor !== change.actor) throw disagree("actor");
  if (decoded.seq !== change.seq) throw disagree("sequence number");
  const deps = [...decoded.deps].sort();
  const claimed = [...change.deps].sort();
  if (deps.length !== claimed.length || deps.some((dep, i) => dep !== claimed[i])) throw disagree("dependencies");
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
