/** The thread in which Automerge runs: never on the main thread, and with a heap of its own to exhaust. */
import { parentPort } from "node:worker_threads";
import { inflateRawSync } from "node:zlib";
import { decodeChange } from "@automerge/automerge";
import { type ChangeFault, changeFault } from "@openclaw/core/documents/change-check.ts";
import type { ChunkTools } from "@openclaw/core/documents/change-chunk.ts";
import { invariant, OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { sha256 } from "../storage/sha256.ts";
import { DocumentCache } from "./document-cache.ts";
import type { Job, JobAnswers, JobReply } from "./job.ts";

const TOOLS: ChunkTools = { sha256, inflate };

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
  const fault = changeFault(change, TOOLS);
  if (fault !== null) return fault;
  try {
    decodeChange(change.bytes);
  } catch {
    return { code: "CHANGE_INVALID", details: "Automerge cannot decode it" };
  }
  return null;
}

function inflate(bytes: Uint8Array, limit: number): Uint8Array | null {
  try {
    return inflateRawSync(bytes, { maxOutputLength: limit });
  } catch (error) {
    if (error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") return null;
    throw error;
  }
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
