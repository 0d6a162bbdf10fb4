/** The pieces of a snapshot's file: hashed one at a time, so that whoever shares the thread is not kept waiting. */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { equalBytes } from "@openclaw/core/bytes.ts";
import { SNAPSHOT_PIECE_BYTES } from "@openclaw/core/limits.ts";
import { sha256 } from "./sha256.ts";

const HASH_BYTES = 32;

/** The hash that a snapshot announces for the piece which starts at `offset`. */
export const announced = (pieces: Uint8Array, offset: number): Uint8Array => {
  const at = (offset / SNAPSHOT_PIECE_BYTES) * HASH_BYTES;
  return pieces.subarray(at, at + HASH_BYTES);
};

/** What a file's snapshot announces. */
export async function piecesOf(
  path: string,
): Promise<{ readonly bytes: number; readonly pieces: Uint8Array; readonly hash: Uint8Array }> {
  const hashes: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of readPieces(path, 0)) {
    hashes.push(sha256(piece));
    bytes += piece.length;
  }
  const pieces = new Uint8Array(Buffer.concat(hashes));
  return { bytes, pieces, hash: sha256(pieces) };
}

/** Bytes at the start of a file that are what was announced, in whole pieces; 0 where there is no file. */
export async function soundBytes(path: string, pieces: Uint8Array): Promise<number> {
  let sound = 0;
  try {
    for await (const piece of readPieces(path, 0)) {
      if (!equalBytes(sha256(piece), announced(pieces, sound))) break;
      sound += piece.length;
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  return sound;
}

/** A file's pieces from the one that starts at `from`, read off this thread. */
export async function* readPieces(path: string, from: number): AsyncGenerator<Uint8Array> {
  const handle = await open(path, "r");
  try {
    for (let at = from; ; ) {
      const piece = await readPiece(handle, at);
      if (piece.length === 0) return;
      at += piece.length;
      yield piece;
    }
  } finally {
    await handle.close();
  }
}

/** A read may stop short of what was asked for. */
async function readPiece(handle: FileHandle, at: number): Promise<Uint8Array> {
  const piece = new Uint8Array(SNAPSHOT_PIECE_BYTES);
  let length = 0;
  while (length < piece.length) {
    const { bytesRead } = await handle.read(piece, length, piece.length - length, at + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return piece.subarray(0, length);
}

/** Hashes one piece while its bytes come in. */
export class PieceHash {
  #hash = createHash("sha256");
  #length = 0;

  /** Bytes until the piece is whole. */
  get room(): number {
    return SNAPSHOT_PIECE_BYTES - this.#length;
  }

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#length += bytes.length;
  }

  /** The piece's hash; the next bytes begin another piece. */
  take(): Uint8Array {
    const digest = new Uint8Array(this.#hash.digest());
    this.#hash = createHash("sha256");
    this.#length = 0;
    return digest;
  }
}
