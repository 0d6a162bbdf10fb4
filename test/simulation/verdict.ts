/** What is looked at when a cluster has come to rest: its replicas' states and ledgers, and what its callers were told. */
import { isDeepStrictEqual } from "node:util";
import { EMPTY_BYTES, equalBytes, toHex, utf8Text } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { isKeyEvent } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { type KeyValue, plainRange } from "@openclaw/core/state-machine/operation.ts";
import type { KeyedRow } from "../model/etcd.ts";
import { rowOf, text } from "../model/translation.ts";
import { callFaults } from "./checkers/calls.ts";
import { lossFaults } from "./checkers/durability.ts";
import { doubleFaults } from "./checkers/exactly-once.ts";
import type { History, LedgerWrite } from "./checkers/history.ts";
import { chainFaults } from "./checkers/ledger-chain.ts";
import { orderFaults } from "./checkers/linearizability.ts";
import { isOfClients } from "./drawn-requests.ts";
import { replayedContent } from "./replayed.ts";
import { SECOND } from "./second-version.ts";
import { sha256 } from "./sha256.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";

/** Reports every fault to the cluster. @param meanwhile lets time pass until there is an answer @returns the ledger */
export async function verdict(
  cluster: SimulatedCluster,
  history: History,
  meanwhile: <T>(answer: Promise<T>) => Promise<T>,
): Promise<readonly StoredRecord[]> {
  let ledger: readonly StoredRecord[] = [];
  const told = new Map<string, Uint8Array>();
  for (const { id, state, replica } of cluster.group) {
    const { raft } = replica.status();
    const { hash, content } = await meanwhile(state.read({ kind: "stateHash" }));
    // Under a name of its own: the hashes while it ran were taken without core's code.
    cluster.checks.agreement.hashed(id, -raft.applied, hash);
    const own = await meanwhile(state.read({ kind: "range", origin: null, ...plainRange(EMPTY_BYTES, null, 0) }));
    const faults = rowFaults(id, own.rows, cluster.checks.serial.rows());
    for (const fault of faults) cluster.violation(fault);
    ledger = (await meanwhile(state.ledger(revision(1), Number.MAX_SAFE_INTEGER))).records;
    for (const fault of chainFaults(id, ledger)) cluster.violation(fault);
    // One way out: of the content the ledger tells all. A ledger that is chained is told by its last hash.
    const end = toHex(ledger.at(-1)?.hash ?? EMPTY_BYTES);
    const replayed = told.get(end) ?? replayedContent(ledger, sha256);
    told.set(end, replayed);
    if (!equalBytes(replayed, content.hash)) cluster.violation(`the content of ${id} is not what its ledger tells`);
  }
  const principals = ledger
    .map(({ record }) => decodeRecord(record))
    .filter(({ origin, principal }) => origin === null && !principal.startsWith("lease:"));
  const second = principals.findIndex(({ principal }) => principal.startsWith(SECOND));
  if (second >= 0 && principals.slice(second).some(({ principal }) => !principal.startsWith(SECOND)))
    cluster.violation("a command after the first of version 2 has the meaning of version 1");
  const writes = writesOf(ledger);
  const faults = [
    ...lossFaults(history, writes),
    ...doubleFaults(history, writes),
    ...orderFaults(history, writes),
    ...callFaults(history),
  ];
  for (const fault of faults) cluster.violation(fault);
  return ledger;
}

/** K1: the rows of a replica are those of the model, with their revisions, versions and leases. */
function rowFaults(node: string, rows: readonly KeyValue[], model: readonly KeyedRow[]): readonly string[] {
  const own = rows.map(rowOf);
  if (isDeepStrictEqual(own, model)) return [];
  return [`the rows of ${node} are ${JSON.stringify(own)}, the model's ${JSON.stringify(model)}`];
}

/** What a ledger holds of the keys that callers share, in order. */
function writesOf(ledger: readonly StoredRecord[]): readonly LedgerWrite[] {
  return ledger.flatMap(({ revision: at, record }) => {
    const { origin, events } = decodeRecord(record);
    if (origin !== null) return [];
    return events.flatMap((event) => {
      if (!isKeyEvent(event) || isOfClients(text(event.key))) return [];
      const value = event.kind === "put" ? (utf8Text(event.value) ?? "") : null;
      return [{ key: utf8Text(event.key) ?? "", value, revision: at }];
    });
  });
}
