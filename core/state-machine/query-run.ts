import { unreachable } from "../errors.ts";
import type { Sha256 } from "../ports.ts";
import type { Answer, Query } from "./query.ts";
import type { StateView } from "./view.ts";

/** Answers a question from the rows of one applied index. Pure. */
export function query<Q extends Query>(_view: StateView, _question: Q, _sha256: Sha256): Answer<Q> {
  return unreachable(undefined as never);
}
