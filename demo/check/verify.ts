/** The verdict: what was promised, held against what every part of the fleet says it has. */
import type { Cluster, Fleet } from "../fleet.ts";
import type { AcknowledgedPut } from "../replay.ts";
import { sha256 } from "../replay.ts";
import { SiteClient } from "../site-client.ts";
import { compareWithLedger, type Findings, lastPuts } from "./exactly-once.ts";
import { readPuts } from "./ledger-feed.ts";
import type { Operator } from "./operator.ts";
import { documentAt, eventually, hashedStatusOf, statusOf } from "./status.ts";

export interface Verdict {
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  readonly documentEqualsReference: boolean;
  readonly stateHashesAgree: boolean;
  readonly ledgerHashesAgree: boolean;
  /** Everything that is not as it should be, in words; empty when all is well. */
  readonly findings: readonly string[];
}

/** Ms until replicas of an idle cluster stand at one index. */
const SETTLE_MS = 20_000;
const QUAKES = "quakes/";

export interface Expected {
  readonly puts: ReadonlyMap<string, readonly AcknowledgedPut[]>;
  readonly text: string;
}

export async function verify(fleet: Fleet, operators: readonly Operator[], expected: Expected): Promise<Verdict> {
  const exact: Findings[] = [];
  for (const [site, puts] of expected.puts) exact.push(...(await verifyPuts(fleet, site, puts)));
  const documents = await verifyDocuments(fleet, operators, expected.text);
  const states: string[] = [];
  const ledgers: string[] = [];
  for (const cluster of [fleet.hub, ...fleet.sites]) {
    const hashes = await hashesOf(cluster);
    states.push(
      ...disagreement(
        cluster,
        "states",
        hashes.map(({ state }) => state),
      ),
    );
    ledgers.push(
      ...disagreement(
        cluster,
        "ledgers",
        hashes.map(({ ledger }) => ledger),
      ),
    );
  }
  const of = (kind: keyof Findings): readonly string[] => [...new Set(exact.flatMap((findings) => findings[kind]))];
  return {
    lost: of("lost").length,
    duplicated: of("duplicated").length,
    outOfOrder: of("outOfOrder").length,
    documentEqualsReference: documents.length === 0,
    stateHashesAgree: states.length === 0,
    ledgerHashesAgree: ledgers.length === 0,
    findings: [...of("lost"), ...of("duplicated"), ...of("outOfOrder"), ...documents, ...states, ...ledgers],
  };
}

/** At the site: what stands at each key, linearizably, and the whole ledger. At the hub: the whole ledger, and its mirror. */
async function verifyPuts(fleet: Fleet, site: string, puts: readonly AcknowledgedPut[]): Promise<readonly Findings[]> {
  const lost: string[] = [];
  const cluster = fleet.site(site);
  const stored = await new SiteClient(cluster.urls).list(QUAKES);
  for (const { key, revision, sha256: hash } of lastPuts(puts).values()) {
    const row = stored.get(key);
    if (row === undefined) lost.push(`${site} has no ${key}`);
    else if (row.modRevision !== revision || sha256(row.value) !== hash) {
      lost.push(`${site} has ${key} of revision ${row.modRevision}, not as acknowledged at revision ${revision}`);
    }
  }
  const findings: Findings[] = [{ lost, duplicated: [], outOfOrder: [] }];
  for (const { name, http } of cluster.nodes)
    findings.push(compareWithLedger(puts, await readPuts(http, null, QUAKES), name));
  for (const { name, http } of fleet.hub.nodes)
    findings.push(compareWithLedger(puts, await readPuts(http, site, QUAKES), name));
  return findings;
}

/** D6: by sorted heads (they name the whole history), by text, and at the browsers by every change's hash. */
async function verifyDocuments(fleet: Fleet, operators: readonly Operator[], text: string): Promise<readonly string[]> {
  const findings: string[] = [];
  const seen: { readonly where: string; readonly text: string; readonly heads: string }[] = [];
  for (const { name, http } of fleet.nodes) {
    const document = await documentAt(http);
    if (document === null) findings.push(`${name} has no shift log`);
    else seen.push({ where: name, text: document.text, heads: sorted(document.heads) });
  }
  const histories = new Set<string>();
  for (const operator of operators) {
    const { text: shown, heads, hashes, unsynced } = await operator.state();
    seen.push({ where: `the browser at ${operator.site}`, text: shown, heads: sorted(heads) });
    histories.add(sorted(hashes));
    if (unsynced !== 0)
      findings.push(`the browser at ${operator.site} has ${unsynced} changes that its site has not taken`);
    for (const complaint of operator.complaints) findings.push(`the page complained: ${complaint}`);
  }
  for (const { where, text: shown, heads } of seen) {
    if (shown !== text)
      findings.push(`${where} shows another text than the reference (${shown.length} of ${text.length} characters)`);
    if (heads !== seen[0]?.heads) findings.push(`${where} has other heads than ${seen[0]?.where}`);
  }
  if (histories.size > 1) findings.push("the browsers hold different sets of changes");
  return findings;
}

interface Hashes {
  readonly node: string;
  readonly state: string;
  readonly ledger: string;
}

/** Read at each replica itself, all at one applied index: an idle cluster proposes nothing (L1), so it comes to rest. */
function hashesOf(cluster: Cluster): Promise<readonly Hashes[]> {
  return eventually(`the replicas of ${cluster.name} stand at one index`, SETTLE_MS, async () => {
    const before = await Promise.all(cluster.urls.map(statusOf));
    const hashed = await Promise.all(cluster.urls.map(hashedStatusOf));
    const after = await Promise.all(cluster.urls.map(statusOf));
    const applied = new Set([...before, ...after].map((status) => status.applied));
    if (applied.size > 1) return null;
    return hashed.map(({ node, state }) => ({
      node,
      state: `${state?.rows} rows, ${state?.hash}`,
      ledger: state?.ledgerHash ?? "",
    }));
  });
}

function disagreement(cluster: Cluster, what: string, hashes: readonly string[]): readonly string[] {
  if (new Set(hashes).size <= 1) return [];
  const each = cluster.nodes.map(({ name }, i) => `${name}: ${hashes[i]?.slice(0, 32)}`).join(", ");
  return [`the ${what} of ${cluster.name} disagree (${each})`];
}

const sorted = (texts: readonly string[]): string => [...texts].sort().join(" ");
