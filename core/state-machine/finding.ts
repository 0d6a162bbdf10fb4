/** What replicas find when their states are compared, and what follows from it. */
import { equalBytes } from "../bytes.ts";
import { type Index, index, type NodeId, type Revision, revision } from "../ids.ts";

/** What a replica says of a round. */
export type Finding =
  /** Of every row, as of the round's index. */
  | { readonly kind: "hash"; readonly hash: Uint8Array }
  /** It could not: it started or took a snapshot meanwhile, or more was written than it could keep. */
  | { readonly kind: "gaveUp" }
  /** It had another hash than a majority, and has taken its state from a peer since. */
  | { readonly kind: "rebuilt" };

export interface Report {
  readonly node: NodeId;
  readonly finding: Finding;
}

export interface Comparison {
  /** Index of the entry as of which rows are hashed; 0 before the first round. */
  readonly round: Index;
  /** Log time and revision at that index. */
  readonly logTime: number;
  readonly revision: Revision;
  /** Who votes, as the round's proposer saw it. */
  readonly voters: readonly NodeId[];
  readonly reports: readonly Report[];
  /** A round in which no majority agreed, and none has agreed since; 0: there is none. */
  readonly splitAt: Index;
}

export type Verdict =
  /** Reports are missing, or too many gave up. */
  | { readonly kind: "open" }
  /** A majority of the voters has this hash; those who have another one. */
  | { readonly kind: "agreed"; readonly hash: Uint8Array; readonly diverged: readonly NodeId[] }
  /** Every voter has reported, and no majority agrees: nobody is known to be right. */
  | { readonly kind: "split" };

export const NO_COMPARISON: Comparison = {
  round: index(0),
  logTime: 0,
  revision: revision(0),
  voters: [],
  reports: [],
  splitAt: index(0),
};

export function verdictOf({ voters, reports }: Comparison): Verdict {
  const of = new Map(reports.map(({ node, finding }) => [node, finding]));
  const needed = Math.floor(voters.length / 2) + 1;
  const hashes = voters.flatMap((node) => hashOf(of.get(node)) ?? []);
  const hash = hashes.find((one) => hashes.filter((other) => equalBytes(one, other)).length >= needed);
  if (hash !== undefined) {
    const differs = (finding: Finding): boolean => finding.kind === "hash" && !equalBytes(finding.hash, hash);
    return { kind: "agreed", hash, diverged: reports.flatMap(({ node, finding }) => (differs(finding) ? node : [])) };
  }
  return voters.length > 0 && hashes.length === voters.length ? { kind: "split" } : { kind: "open" };
}

/** Every voter has reported, and some differ; because others gave up, no majority tells which of them is wrong. */
export function isUndecided(comparison: Comparison): boolean {
  const { voters, reports } = comparison;
  if (verdictOf(comparison).kind !== "open" || !voters.every((voter) => reports.some(({ node }) => node === voter)))
    return false;
  const [first, ...others] = reports.flatMap(({ finding }) => hashOf(finding) ?? []);
  return first !== undefined && others.some((other) => !equalBytes(first, other));
}

const hashOf = (finding: Finding | undefined): Uint8Array | null => (finding?.kind === "hash" ? finding.hash : null);
