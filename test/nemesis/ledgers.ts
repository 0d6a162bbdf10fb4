/** The ledgers of two tiers, read whole over HTTP and held against each other (L2, L4, L5). */
import { createHash } from "node:crypto";
import { toHex } from "@openclaw/core/bytes.ts";
import { isKeyEvent, type LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { framesIn, readRecordFrame } from "@openclaw/edge-runtime/backup/record-frames.ts";
import { ChainCheck } from "../simulation/checkers/ledger-chain.ts";
import type { RealCluster } from "./cluster.ts";

const PAGE_MS = 30_000;
const FINDINGS_MAX = 10;

/** What of a ledger is kept: large values make it more than memory holds. */
export interface ReadLedger {
  readonly cluster: string;
  /** At revision r its record r − 1. */
  readonly records: readonly ReadRecord[];
  /** Where the chain breaks, in words. */
  readonly findings: readonly string[];
}

interface ReadRecord {
  readonly revision: number;
  /** Where it was written first; null: here. */
  readonly origin: { readonly cluster: string; readonly revision: number } | null;
  readonly keys: readonly string[];
  /** Equal for two records that tell the same. */
  readonly told: string;
}

/** At rest. @throws Error when no member gives it */
export async function readLedger(cluster: RealCluster): Promise<ReadLedger> {
  const records: ReadRecord[] = [];
  const chain = new ChainCheck(cluster.name);
  const findings: string[] = [];
  for (let done = false; !done; ) {
    const page = await readPage(cluster, records.length + 1);
    done = page.length === 0;
    for (const stored of page) {
      const fault = chain.take(stored);
      if (fault !== null) findings.push(fault);
      records.push(readRecord(decodeRecord(stored.record)));
    }
  }
  return { cluster: cluster.name, records, findings: findings.slice(0, FINDINGS_MAX) };
}

async function readPage(cluster: RealCluster, from: number): Promise<readonly StoredRecord[]> {
  const why: string[] = [];
  for (const { http, name } of cluster.members) {
    try {
      const response = await fetch(`${http}/v1/ledger?from=${from}`, {
        headers: { authorization: `Bearer ${cluster.token}` },
        signal: AbortSignal.timeout(PAGE_MS),
      });
      if (response.ok) return [...framesIn(new Uint8Array(await response.arrayBuffer()))].map(readRecordFrame);
      why.push(`${name}: ${await response.text()}`);
    } catch (error) {
      why.push(`${name}: ${error}`);
    }
  }
  throw new Error(`nobody gives the ledger of ${cluster.name} from ${from}: ${why.join("; ")}`);
}

function readRecord(record: LedgerRecord): ReadRecord {
  const keys: string[] = [];
  const told = createHash("sha256").update(`${record.principal} ${record.time}`);
  for (const event of record.events) {
    if (event.kind === "change") told.update(` change ${event.change.hash}`);
    else if (isKeyEvent(event)) {
      keys.push(toHex(event.key));
      told.update(` ${event.kind} ${toHex(event.key)} `);
      // A lease is its own cluster's (K6), and no mirror has it.
      if (event.kind === "put") told.update(event.value);
    }
  }
  const { origin, revision } = record;
  return { revision, origin, keys, told: told.digest("hex") };
}

/** What a mirror has of another's ledger. */
export interface Mirrored {
  /** Of the source, there. */
  readonly revisions: number;
  readonly lost: number;
  /** Twice, or after a later one. */
  readonly doubled: number;
  /** Not what the source has. */
  readonly altered: number;
  readonly findings: readonly string[];
}

/** @param wanted which of the source's own records must be there */
export function mirrored(source: ReadLedger, mirror: ReadLedger, wanted: (record: ReadRecord) => boolean): Mirrored {
  const findings: string[] = [];
  const found = new Set<number>();
  let [last, doubled, altered] = [0, 0, 0];
  for (const { origin, told, revision } of mirror.records) {
    if (origin?.cluster !== source.cluster) continue;
    const at = origin.revision;
    if (at <= last) {
      doubled++;
      findings.push(`${mirror.cluster} took revision ${at} of ${source.cluster} at ${revision}, after ${last}`);
    }
    last = Math.max(last, at);
    found.add(at);
    const original = source.records[at - 1];
    if (original?.told === told && original.origin === null) continue;
    altered++;
    findings.push(`${mirror.cluster}'s revision ${revision} is not ${source.cluster}'s ${at}`);
  }
  const lost = source.records.filter(
    (record) => record.origin === null && wanted(record) && !found.has(record.revision),
  );
  findings.push(...lost.map(({ revision }) => `${mirror.cluster} lacks revision ${revision} of ${source.cluster}`));
  return { revisions: found.size, lost: lost.length, doubled, altered, findings: findings.slice(0, FINDINGS_MAX) };
}
