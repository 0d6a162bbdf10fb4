/** `GET /v1/kv?origin=*`: keys with a prefix, of this cluster and of every site below it. */
import { prefixEnd } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Answer, Query } from "@openclaw/core/state-machine/query.ts";
import type { ReplicaDoor } from "./deps.ts";
import { originOf } from "./origin.ts";
import type { RangeQuery } from "./range-query.ts";

type Question = Extract<Query, { kind: "everywhere" }>;

export interface EverywhereQuery extends RangeQuery {
  readonly afterOrigin?: string;
  readonly revision?: number;
  readonly time?: string;
}

/** @throws OpenClawError BAD_REQUEST for what has no meaning across origins, and what a read throws */
export function readEverywhere(
  replica: Pick<ReplicaDoor, "read">,
  prefix: Uint8Array,
  after: Uint8Array | undefined,
  query: EverywhereQuery,
): Promise<Answer<Question>> {
  const { limit, sort, order, view, count, afterOrigin } = query;
  const bounds = query.minModRevision + query.maxModRevision + query.minCreateRevision + query.maxCreateRevision;
  if (sort !== "key" || order !== "ascending" || bounds > 0)
    throw new OpenClawError(
      "BAD_REQUEST",
      "revisions of several origins do not compare: no sort and no bounds with origin=*",
    );
  if (query.revision !== undefined || query.time !== undefined)
    throw new OpenClawError("BAD_REQUEST", "origin=* is told of the present only");
  if (after === undefined && afterOrigin !== undefined)
    throw new OpenClawError("BAD_REQUEST", "afterOrigin goes with after");
  return replica.read({
    kind: "everywhere",
    from: prefix,
    to: prefixEnd(prefix) ?? null,
    after: after === undefined ? null : { origin: originOf(afterOrigin), key: after },
    limit: view === "count" ? 0 : limit,
    view: view === "rows" ? "rows" : "keys",
    counted: count || view === "count",
  });
}
