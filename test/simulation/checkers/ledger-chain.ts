/** L2: the ledger's hashes, computed again from what it holds, as docs/ and SPEC.md say: not with the code of core. */
import { hash } from "node:crypto";
import type { StoredRecord } from "@openclaw/core/ports.ts";

const sha256 = (bytes: Uint8Array): Buffer => hash("sha256", bytes, "buffer");

/** hash(r) = H(0x02, hash(r−1), partition as 4 bytes, r as 8 bytes, H(record)), on from the hash of the first record's predecessor. */
export function chainFaults(node: string, records: readonly StoredRecord[]): readonly string[] {
  const faults: string[] = [];
  let before: StoredRecord | null = null;
  for (const stored of records) {
    if (before !== null) {
      const numbers = Buffer.alloc(12);
      numbers.writeBigUInt64BE(BigInt(stored.revision), 4);
      const expected = sha256(Buffer.concat([Uint8Array.of(0x02), before.hash, numbers, sha256(stored.record)]));
      if (stored.revision !== before.revision + 1 || !expected.equals(stored.hash)) {
        faults.push(`the ledger of ${node} breaks at revision ${stored.revision}`);
      }
    }
    before = stored;
  }
  if (records[0] !== undefined && records[0].revision !== 1) faults.push(`the ledger of ${node} has no beginning`);
  return faults;
}
