/**
 * Whether the replicas hold one state: a round hashes every row as of one index at each of them, and what each found is
 * reported into one replicated row, so that all draw the same conclusion. It takes no revision (L1).
 */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { type Index, index, isNodeId, type NodeId, revision } from "../ids.ts";
import { readHash } from "../ledger/record-codec.ts";
import { VOTERS_MAX } from "../raft/membership.ts";
import { type Comparison, type Finding, NO_COMPARISON, verdictOf } from "./finding.ts";
import { COMPARISON_KEY } from "./keyspace.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView } from "./view.ts";

/** Voters and learners, each once. */
const REPORTS_MAX = 2 * VOTERS_MAX;

/** A round begins: rows are hashed as they are after this entry. One that is still open is given up. */
export function beginComparison(
  tx: Transaction,
  at: Index,
  position: Pick<Comparison, "logTime" | "revision">,
  voters: readonly NodeId[],
): Comparison {
  const { splitAt } = tx.read(COMPARISON_KEY, comparisonRow) ?? NO_COMPARISON;
  const { logTime, revision: now } = position;
  const begun: Comparison = { round: at, logTime, revision: now, voters, reports: [], splitAt };
  tx.write(COMPARISON_KEY, comparisonRow, begun);
  return begun;
}

/** The first word of a replica stands, but that it was rebuilt. What is said of another round is late. */
export function noteFinding(tx: Transaction, round: Index, node: NodeId, finding: Finding): Comparison {
  const known = tx.read(COMPARISON_KEY, comparisonRow) ?? NO_COMPARISON;
  if (known.round !== round) return known;
  const others = known.reports.filter((report) => report.node !== node);
  const said = others.length < known.reports.length;
  if (said ? finding.kind !== "rebuilt" : known.reports.length >= REPORTS_MAX) return known;
  const noted = settled({ ...known, reports: [...others, { node, finding }] });
  tx.write(COMPARISON_KEY, comparisonRow, noted);
  return noted;
}

function settled(comparison: Comparison): Comparison {
  switch (verdictOf(comparison).kind) {
    case "agreed":
      return { ...comparison, splitAt: index(0) };
    case "split":
      return { ...comparison, splitAt: comparison.round };
    default:
      return comparison;
  }
}

export function readComparison(view: StateView): Comparison {
  const bytes = view.get(COMPARISON_KEY);
  return bytes === undefined ? NO_COMPARISON : comparisonRow.decode(bytes);
}

const FINDING = { hash: 0, gaveUp: 1, rebuilt: 2 } as const satisfies Record<Finding["kind"], number>;

export const findingFields = (finding: Finding): readonly Encodable[] => [
  FINDING[finding.kind],
  finding.kind === "hash" ? finding.hash : null,
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readFinding(reader: TupleReader): Finding {
  const kind = reader.count();
  const hash = reader.orNull(readHash);
  if (kind === FINDING.hash && hash !== null) return { kind: "hash", hash: new Uint8Array(hash) };
  if (kind === FINDING.gaveUp) return { kind: "gaveUp" };
  if (kind === FINDING.rebuilt) return { kind: "rebuilt" };
  throw new OpenClawError("MALFORMED_FRAME", `a finding of unknown kind ${kind}`);
}

export const comparisonTuple = (row: Comparison): Encodable => [
  row.round,
  row.logTime,
  row.revision,
  row.voters,
  row.reports.map(({ node, finding }) => [node, ...findingFields(finding)]),
  row.splitAt,
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readComparisonTuple(value: Encodable): Comparison {
  const reader = new TupleReader(value, "comparison");
  const comparison: Comparison = {
    round: index(reader.count()),
    logTime: reader.count(),
    revision: revision(reader.count()),
    voters: readNodes(reader),
    reports: reader.list().map((field) => {
      const report = new TupleReader(field, "report");
      const read = { node: report.that(isNodeId, "a node"), finding: readFinding(report) };
      report.end();
      return read;
    }),
    splitAt: index(reader.count()),
  };
  reader.end();
  return comparison;
}

/** Nodes of a group. @throws OpenClawError MALFORMED_FRAME */
export function readNodes(reader: TupleReader): readonly NodeId[] {
  const list = reader.list();
  if (list.length > REPORTS_MAX) throw new OpenClawError("MALFORMED_FRAME", "more members than a group may have");
  const names = new TupleReader(list, "members");
  return list.map(() => names.that(isNodeId, "a node"));
}

const comparisonRow: RowCodec<Comparison> = {
  encode: (row) => encode(comparisonTuple(row)),
  decode: (bytes) => readComparisonTuple(decode(bytes)),
};
