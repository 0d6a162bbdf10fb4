/** What a list of keys can be asked for: etcd's Range, as query parameters. */
import { RANGE_ROWS_MAX } from "@openclaw/core/limits.ts";
import {
  RANGE_VIEWS,
  type RangeView,
  SORT_ORDERS,
  SORT_TARGETS,
  type SortOrder,
  type SortTarget,
} from "@openclaw/core/state-machine/operation.ts";

const LIMIT_DEFAULT = 1_000;

export interface RangeQuery {
  readonly limit: number;
  readonly sort: SortTarget;
  readonly order: SortOrder;
  readonly view: RangeView;
  readonly count: boolean;
  readonly minModRevision: number;
  readonly maxModRevision: number;
  readonly minCreateRevision: number;
  readonly maxCreateRevision: number;
}

const bound = {
  type: "integer",
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  default: 0,
  description: "0 bounds nothing",
} as const;

export const rangeSchema = {
  limit: { type: "integer", minimum: 1, maximum: RANGE_ROWS_MAX, default: LIMIT_DEFAULT },
  sort: {
    type: "string",
    enum: SORT_TARGETS,
    default: "key",
    description: "Of equals the lesser key comes first. All but key, ascending, reads the whole range",
  },
  order: { type: "string", enum: SORT_ORDERS, default: "ascending" },
  view: { type: "string", enum: RANGE_VIEWS, default: "rows", description: "keys: without values; count: no rows" },
  count: {
    type: "boolean",
    default: false,
    description: "Count every key of the range, whatever limit and bounds leave out: reads all of it",
  },
  minModRevision: bound,
  maxModRevision: bound,
  minCreateRevision: bound,
  maxCreateRevision: bound,
} as const;
