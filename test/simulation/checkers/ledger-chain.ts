/** L2: the ledger's hashes, computed again from what it holds, as docs/ and SPEC.md say: not with the code of core. */
import { hash } from "node:crypto";
import type { StoredRecord } from "@openclaw/core/ports.ts";

const sha256 = (bytes: Uint8Array): Buffer => hash("sha256", bytes, "buffer");

/** hash(r) = H(0x02, hash(r−1), partition as 4 bytes, r as 8 bytes, H(record)), on from the hash of the first record's predecessor. */
export class ChainCheck {
  readonly #whose: string;
  #before: Pick<StoredRecord, "revision" | "hash"> | null = null;

  constructor(whose: string) {
    this.#whose = whose;
  }

  /** Null, or what is wrong with it, in words. */
  take({ revision, record, hash: own }: StoredRecord): string | null {
    const before = this.#before;
    this.#before = { revision, hash: own };
    if (before === null) return revision === 1 ? null : `the ledger of ${this.#whose} has no beginning`;
    const numbers = Buffer.alloc(12);
    numbers.writeBigUInt64BE(BigInt(revision), 4);
    const expected = sha256(Buffer.concat([Uint8Array.of(0x02), before.hash, numbers, sha256(record)]));
    if (revision === before.revision + 1 && expected.equals(own)) return null;
    return `the ledger of ${this.#whose} breaks at revision ${revision}`;
  }
}

export function chainFaults(node: string, records: readonly StoredRecord[]): readonly string[] {
  const check = new ChainCheck(node);
  return records.flatMap((stored) => check.take(stored) ?? []);
}
