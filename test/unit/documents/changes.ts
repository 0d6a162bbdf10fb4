/** Automerge changes to test with, described as they travel. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import * as Automerge from "@automerge/automerge";
import type { ActorId, ChangeHash } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";

export type Draft = Record<string, unknown>;
export type Doc = Automerge.Doc<Draft>;

export function described(bytes: Uint8Array): DocumentChange {
  const { hash, actor, seq, deps } = Automerge.decodeChange(bytes);
  return { hash: hash as ChangeHash, actor: actor as ActorId, seq, deps: deps as ChangeHash[], bytes };
}

/** Every change of `edits` made one after the other by one actor. */
export function changesOf(actor: string, ...edits: ((draft: Draft) => void)[]): DocumentChange[] {
  let doc: Doc = Automerge.init({ actor });
  for (const edit of edits) doc = Automerge.change(doc, edit);
  return Automerge.getAllChanges(doc).map(described);
}

/** A change chunk with the right header around a body of ours. */
export function chunk(body: Uint8Array): Uint8Array {
  const header = Uint8Array.from([1, ...unsignedLeb(body.length)]);
  const hash = createHash("sha256").update(header).update(body).digest();
  return Uint8Array.from(Buffer.concat([Buffer.from([0x85, 0x6f, 0x4a, 0x83]), hash.subarray(0, 4), header, body]));
}

/** A change of some 50 bytes whose columns claim `rows` operations. */
export function runs(rows: bigint): Uint8Array {
  const run = signedLeb(rows);
  const columns: [number, number[]][] = [
    [0x15, [...run, 1, 0x61]],
    [0x34, unsignedLeb(rows)],
    [0x42, [...run, 1]],
    [0x56, [...run, 0]],
    [0x70, [...run, 0]],
  ];
  return chunk(columnsBody(columns));
}

/** A change body of actor aabb, seq 1, without dependencies, with these columns. */
export function columnsBody(columns: readonly (readonly [number, readonly number[]])[]): Uint8Array {
  const directory = columns.flatMap(([specification, data]) => [specification, ...unsignedLeb(data.length)]);
  const data = columns.flatMap(([, bytes]) => bytes);
  return Uint8Array.from([0, 2, 0xaa, 0xbb, 1, 1, 0, 0, 0, columns.length, ...directory, ...data]);
}

export function unsignedLeb(value: number | bigint): number[] {
  let rest = BigInt(value);
  const bytes: number[] = [];
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return bytes;
}

export function signedLeb(value: bigint): number[] {
  let rest = value;
  const bytes: number[] = [];
  for (;;) {
    const low = Number(rest & 127n);
    rest >>= 7n;
    if ((rest === 0n && (low & 64) === 0) || (rest === -1n && (low & 64) !== 0)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 128);
  }
}
