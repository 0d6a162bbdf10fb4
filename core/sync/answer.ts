/** What the parent's state says to a child's question. */
import { OpenClawError } from "../errors.ts";
import { positionToken } from "../ledger/position-token.ts";
import { type ReadMode, readable } from "../replica/read-mode.ts";
import type { ParentBackend } from "./backend.ts";
import type { ChildAnswer, ChildQuery, Seen } from "./message.ts";

/** @param asking the principal. @throws OpenClawError FORBIDDEN, as `readable` and the backend's `read` */
export async function answerTo(
  backend: ParentBackend,
  { query, mode }: { readonly query: ChildQuery; readonly mode: ReadMode },
  asking: string,
): Promise<{ readonly answer: ChildAnswer; readonly seen: Seen }> {
  await readable(backend, mode);
  // What is known before the read holds for what it finds; where the state stands after it covers all that it found.
  const staleMs = backend.staleMs();
  const answer = await read(backend, query, asking);
  const position = backend.position();
  const seen = {
    position: positionToken(position, position.revision),
    staleMs: staleMs === null ? null : Math.ceil(staleMs),
  };
  return { answer, seen };
}

/** One case a kind, because the kind decides the type of its answer. */
async function read(backend: ParentBackend, query: ChildQuery, asking: string): Promise<ChildAnswer> {
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
    case "lease":
      return { kind: "lease", answer: await backend.read(query) };
    case "command": {
      const answer = await backend.read(query);
      if (answer.command !== null && answer.command.principal !== asking)
        throw new OpenClawError("FORBIDDEN", "another's command");
      return { kind: "command", answer };
    }
    case "position":
      return { kind: "position", answer: await backend.read(query) };
  }
}
