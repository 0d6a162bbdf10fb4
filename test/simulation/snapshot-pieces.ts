/** What a snapshot of these bytes announces of them. */
import { hash } from "node:crypto";
import { concatBytes } from "@openclaw/core/bytes.ts";
import { SNAPSHOT_PIECE_BYTES } from "@openclaw/core/limits.ts";

const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(hash("sha256", bytes, "buffer"));

export function snapshotPieces(bytes: Uint8Array): {
  readonly bytes: number;
  readonly pieces: Uint8Array;
  readonly hash: Uint8Array;
} {
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += SNAPSHOT_PIECE_BYTES)
    hashes.push(sha256(bytes.subarray(at, at + SNAPSHOT_PIECE_BYTES)));
  const pieces = concatBytes(hashes);
  return { bytes: bytes.length, pieces, hash: sha256(pieces) };
}
