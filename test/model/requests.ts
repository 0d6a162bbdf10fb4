/** Requests as etcd has them, over few keys and values, so that they meet; the odd ones among them. */
import fc from "fast-check";
import type { Compare, Delete, Keys, LeaseOp, Op, Put, Range, Request, Txn, Versions, Watch } from "./etcd.ts";

/** Neighbours in the order of bytes, the least key, and keys behind which there is little. */
const KEYS = ["a", "a\0", "ab", "b", "c", "\0", "\u00ff", "\u00ff\u00ff"];
const key = fc.oneof({ weight: 40, arbitrary: fc.constantFrom(...KEYS) }, { weight: 1, arbitrary: fc.constant("") });
const end = fc.oneof(
  { weight: 5, arbitrary: fc.constant("") },
  { weight: 3, arbitrary: fc.constantFrom("a\0", "b", "c", "d", "\u00ff") },
  { weight: 1, arbitrary: fc.constantFrom("\0", "a") },
);
const keys: fc.Arbitrary<Keys> = fc.record({ key, end });
const value = fc.constantFrom("", "x", "y", "\0");
const number = fc.oneof({ weight: 3, arbitrary: fc.nat(4) }, { weight: 1, arbitrary: fc.nat(60) });
const bound = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(60) });

const put: fc.Arbitrary<Put> = fc.record({
  op: fc.constant("put"),
  key,
  value: fc.option(value, { freq: 8 }),
  lease: fc.oneof(
    { weight: 8, arbitrary: fc.constant(0) },
    { weight: 4, arbitrary: fc.constantFrom(1, 2, 3) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  prev: fc.boolean(),
});
const remove: fc.Arbitrary<Delete> = fc
  .tuple(keys, fc.boolean())
  .map(([selected, prev]) => ({ op: "delete", ...selected, prev }));
const range: fc.Arbitrary<Range> = fc
  .record({
    keys,
    limit: fc.nat(4),
    sort: fc.constantFrom("key", "version", "create", "mod", "value"),
    descending: fc.boolean(),
    only: fc.constantFrom("rows", "rows", "keys", "count"),
    minMod: bound,
    maxMod: bound,
    minCreate: bound,
    maxCreate: bound,
  } as const)
  .map(({ keys: selected, ...rest }) => ({ op: "range", ...selected, ...rest, at: 0 }));
const compare: fc.Arbitrary<Compare> = fc
  .tuple(
    keys,
    fc.constantFrom("=", "!=", ">", "<"),
    fc.oneof(
      fc.record({ target: fc.constant("value" as const), to: value }),
      fc.record({ target: fc.constantFrom("version", "create", "mod", "lease"), to: number }),
    ),
  )
  .map(([selected, sign, what]) => ({ ...selected, sign, ...what }));

const EVERYTHING: Range = {
  op: "range",
  key: "\0",
  end: "\0",
  limit: 0,
  sort: "key",
  descending: false,
  only: "rows",
  minMod: 0,
  maxMod: 0,
  minCreate: 0,
  maxCreate: 0,
  at: 0,
};

const { txn } = fc.letrec<{ op: Op; txn: Txn }>((tie) => ({
  op: fc.oneof(
    { maxDepth: 3 },
    { weight: 4, arbitrary: put },
    { weight: 2, arbitrary: remove },
    { weight: 2, arbitrary: range },
    { weight: 3, arbitrary: tie("txn") },
  ),
  txn: fc.record({
    op: fc.constant("txn" as const),
    compare: fc.array(compare, { maxLength: 2 }),
    success: fc.array(tie("op"), { maxLength: 3 }),
    failure: fc.array(tie("op"), { maxLength: 3 }),
  }),
}));

/** What chance seldom puts together: a nested compare of what was just put, and a nested delete of what was nested put. */
const around = fc.tuple(fc.constantFrom(...KEYS), value, fc.nat(2), fc.constantFrom("=", "!="), txn);
const ownWrite: fc.Arbitrary<Txn> = around.map(([at, to, version, sign, inner]) => ({
  op: "txn",
  compare: [],
  success: [
    { op: "put", key: at, value: to, lease: 0, prev: true },
    { ...inner, compare: [{ key: at, end: "", target: "version", sign, to: version }] },
  ],
  failure: [],
}));
const putThenDeleted: fc.Arbitrary<Txn> = around.map(([at, to, , , { compare: compares, failure }]) => ({
  op: "txn",
  compare: [],
  success: [
    { op: "txn", compare: compares, success: [{ op: "put", key: at, value: to, lease: 0, prev: true }], failure },
    { op: "txn", compare: [], success: [{ op: "delete", key: at, end: `${at}\u00ff`, prev: true }], failure: [] },
  ],
  failure: [],
}));

const id = fc.constantFrom(1, 2, 3);
const leases: fc.Arbitrary<LeaseOp> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant("grant" as const), id, ttl: fc.constantFrom(5, 10, 30) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom("alive" as const, "revoke" as const), id }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("pass" as const), ms: fc.constantFrom(0, 3, 5, 12, 30) }) },
);

/** Two keys that begin with their leases. */
const attach: fc.Arbitrary<Txn> = fc
  .tuple(fc.uniqueArray(fc.constantFrom(...KEYS), { maxLength: 3 }), id, id)
  .map(([at, first, second]) => ({
    op: "txn",
    compare: [],
    success: at.map((one, i) => ({ op: "put", key: one, value: "x", lease: i === 0 ? first : second, prev: false })),
    failure: [],
  }));

/** Revisions, some of them still to come. */
const past = fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: 6 }) }, { weight: 1, arbitrary: fc.nat(40) });
const named = fc.constantFrom(...KEYS);
const versions: fc.Arbitrary<Versions> = fc.record({
  op: fc.constant("versions" as const),
  key: named,
  limit: fc.constantFrom(1, 3, 100),
  before: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 20 })),
});

const watch: fc.Arbitrary<Watch> = fc
  .tuple(keys, past, fc.constantFrom(null, null, "noput" as const, "nodelete" as const))
  .map(([selected, from, filter]) => ({ op: "watch", ...selected, from, filter }));

/** A key that is deleted, and perhaps put again, before the lease ends that it had. */
const outlived: fc.Arbitrary<readonly Request[]> = fc
  .tuple(named, id, fc.boolean(), fc.boolean())
  .map(([key, lease, again, revoked]) => [
    { op: "grant", id: lease, ttl: 10 },
    {
      op: "txn",
      compare: [],
      success: [{ op: "put", key, value: "x", lease, prev: false }],
      failure: [],
    },
    { op: "delete", key, end: "", prev: false },
    ...(again ? [{ op: "put", key, value: "y", lease: 0, prev: false } as const] : []),
    revoked ? { op: "revoke", id: lease } : { op: "pass", ms: 30 },
  ]);

const request: fc.Arbitrary<Request> = fc.oneof(
  { weight: 5, arbitrary: leases },
  { weight: 3, arbitrary: attach },
  { weight: 4, arbitrary: put.map((one) => ({ ...one, prev: false, lease: 0, value: one.value ?? "x" })) },
  { weight: 1, arbitrary: remove.map((one) => ({ ...one, prev: false })) },
  // An empty key is refused in transactions only: whoever lists keys begins where there are none.
  { weight: 2, arbitrary: range.map((one) => ({ ...one, key: one.key === "" ? "\0" : one.key })) },
  { weight: 1, arbitrary: range.map((one) => ({ ...one, key: "\0", end: "\0" })) },
  {
    weight: 3,
    arbitrary: fc.tuple(range, past).map(([one, at]) => ({ ...one, key: one.key === "" ? "\0" : one.key, at })),
  },
  { weight: 1, arbitrary: past.map((at) => ({ ...EVERYTHING, at })) },
  { weight: 2, arbitrary: versions },
  { weight: 1, arbitrary: past.map((revision) => ({ op: "compact" as const, revision })) },
  { weight: 2, arbitrary: watch },
  { weight: 6, arbitrary: txn },
  { weight: 1, arbitrary: ownWrite },
  { weight: 1, arbitrary: putThenDeleted },
);

/** One after the other. */
export const requests: fc.Arbitrary<readonly Request[]> = fc.oneof(
  { weight: 60, arbitrary: request.map((one) => [one]) },
  { weight: 1, arbitrary: outlived },
);
