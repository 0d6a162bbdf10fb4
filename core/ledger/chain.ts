/**
 * The chain over a ledger (rules L2, L3): each revision's hash covers all before it, so two ledgers that agree on one
 * hash agree on every revision up to it.
 *
 *   hash(0) = H(0x00, cluster, partition, epoch nonce)      leaf(r) = H(record bytes), which begin with 0x05 and the salt
 *   hash(r) = H(0x02, hash(r−1), partition, r, leaf(r))
 */
import { equalBytes } from "../bytes.ts";
import { encode } from "../codec.ts";
import { invariant, unreachable } from "../errors.ts";
import type { ClusterId, Partition, Revision } from "../ids.ts";
import type { Sha256 } from "../ports.ts";
import { firstRevision, lastRevision } from "./link-item.ts";
import type { LinkItem } from "./record.ts";
import { HASH_BYTES, SALT_BYTES } from "./record-codec.ts";

const GENESIS_TAG = 0x00;
const CHAIN_TAG = 0x02;
/** Written anew for each hash, which is made before anybody else has a turn: an array of its own would cost as much again. */
const CHAIN_INPUT = new Uint8Array(1 + HASH_BYTES + 4 + 8 + HASH_BYTES);
const CHAIN_INPUT_VIEW = new DataView(CHAIN_INPUT.buffer);

/** The hash at revision 0: bound to the epoch, so that two epochs of a cluster never share a hash. */
export function genesisHash(sha256: Sha256, cluster: ClusterId, partition: Partition, nonce: string): Uint8Array {
  const inner = encode([cluster, partition, nonce]);
  const input = new Uint8Array(1 + inner.length);
  input[0] = GENESIS_TAG;
  input.set(inner, 1);
  return sha256(input);
}

export const leafHash = (sha256: Sha256, record: Uint8Array): Uint8Array => sha256(record);

export function chainHash(
  sha256: Sha256,
  previous: Uint8Array,
  partition: Partition,
  at: Revision,
  leaf: Uint8Array,
): Uint8Array {
  CHAIN_INPUT[0] = CHAIN_TAG;
  CHAIN_INPUT.set(previous, 1);
  CHAIN_INPUT_VIEW.setUint32(1 + HASH_BYTES, partition);
  // Two halves: a revision has up to 53 bits, and BigInt costs more than the hash.
  CHAIN_INPUT_VIEW.setUint32(1 + HASH_BYTES + 4, Math.floor(at / 0x1_0000_0000));
  CHAIN_INPUT_VIEW.setUint32(1 + HASH_BYTES + 8, at % 0x1_0000_0000);
  CHAIN_INPUT.set(leaf, 1 + HASH_BYTES + 12);
  return sha256(CHAIN_INPUT);
}

/** The salt of one of several revisions of one command (L2): nobody without the command's salt can guess it. */
export function derivedSalt(sha256: Sha256, salt: Uint8Array, at: Revision): Uint8Array {
  const digits = String(at);
  const input = new Uint8Array(salt.length + digits.length);
  input.set(salt);
  for (let i = 0; i < digits.length; i++) input[salt.length + i] = digits.charCodeAt(i);
  return sha256(input).subarray(0, SALT_BYTES);
}

/**
 * True if each item follows the one before, without gap, overlap or empty skip. What it does not say: where the run begins.
 */
export function isContiguous(items: readonly LinkItem[]): boolean {
  let next: number | null = null;
  for (const item of items) {
    const first = firstRevision(item);
    const last = lastRevision(item);
    if (first < 1 || last < first || (next !== null && first !== next)) return false;
    next = last + 1;
  }
  return true;
}

/** The leaf of each item; null of a skip. */
export const leavesOf = (sha256: Sha256, items: readonly LinkItem[]): readonly (Uint8Array | null)[] =>
  items.map((item) => {
    switch (item.kind) {
      case "body":
        return leafHash(sha256, item.record);
      case "stub":
        return item.leaf;
      case "skip":
        return null;
      default:
        return unreachable(item);
    }
  });

/**
 * The hash at each item's last revision, each chained to the one before. A skip's own hash is taken over: nothing in it can
 * be checked, but whatever follows it is.
 * @param leaves of the items, where they are known
 */
export function hashesAlong(
  sha256: Sha256,
  previous: Uint8Array,
  partition: Partition,
  items: readonly LinkItem[],
  leaves: readonly (Uint8Array | null)[] = leavesOf(sha256, items),
): Uint8Array[] {
  let hash = previous;
  return items.map((item, place) => {
    const leaf = leaves[place] ?? null;
    if (item.kind === "skip") hash = item.hash;
    else {
      invariant(leaf !== null, "a body and a stub have a leaf");
      hash = chainHash(sha256, hash, partition, item.revision, leaf);
    }
    return hash;
  });
}

/** The hash after a run. */
export const hashAfter = (
  sha256: Sha256,
  previous: Uint8Array,
  partition: Partition,
  items: readonly LinkItem[],
): Uint8Array => hashesAlong(sha256, previous, partition, items).at(-1) ?? previous;

/** True if a contiguous run leads from `previous` to `claimed`: no other ledger stands here (L3). */
export function verifyRun(
  sha256: Sha256,
  previous: Uint8Array,
  partition: Partition,
  items: readonly LinkItem[],
  claimed: Uint8Array,
): boolean {
  return equalBytes(hashAfter(sha256, previous, partition, items), claimed);
}
