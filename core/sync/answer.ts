/** What the parent's state says to a child's question. */
import type { ParentBackend } from "./backend.ts";
import type { ChildAnswer, ChildQuery } from "./message.ts";

/** One case a kind, because the kind decides the type of its answer. */
export async function answerTo(backend: ParentBackend, query: ChildQuery): Promise<ChildAnswer> {
  switch (query.kind) {
    case "get":
      return { kind: "get", answer: await backend.read(query) };
    case "range":
      return { kind: "range", answer: await backend.read(query) };
    case "document":
      return { kind: "document", answer: await backend.read(query) };
    case "documents":
      return { kind: "documents", answer: await backend.read(query) };
    case "changes":
      return { kind: "changes", answer: await backend.read(query) };
    case "position":
      return { kind: "position", answer: await backend.read(query) };
  }
}
