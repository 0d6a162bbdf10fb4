/** Rows of the mirror, in a step of the store: under their origin, and in the order of their keys. */
import type { ClientWrite, MirrorRow } from "@openclaw/core/client/store.ts";
import { compact } from "./compact.ts";
import type { Step } from "./schema.ts";

/** Not awaited one by one: thousands of rows may come with one batch of events. Requests of one transaction keep their order. */
export async function mirror(
  step: Step,
  puts: readonly MirrorRow[],
  deletes: NonNullable<ClientWrite["mirrorDeletes"]>,
): Promise<void> {
  const requests: Promise<unknown>[] = [];
  for (const row of puts) {
    const compacted = { ...row, key: compact(row.key), value: compact(row.value) };
    requests.push(step.objectStore("mirror").put(compacted, [row.origin ?? "", keyBuffer(row.key)]));
  }
  for (const { key, origin } of deletes)
    requests.push(step.objectStore("mirror").delete([origin ?? "", keyBuffer(key)]));
  await Promise.all(requests);
}

/** Keys with from ≤ key < to (`to` null: to the end). */
export const mirrorRange = (origin: string | null, from: Uint8Array, to: Uint8Array | null): IDBKeyRange =>
  IDBKeyRange.bound(
    [origin ?? "", keyBuffer(from)],
    // An array sorts after every buffer.
    [origin ?? "", to === null ? [] : keyBuffer(to)],
    false,
    true,
  );

const keyBuffer = (key: Uint8Array): ArrayBuffer => new Uint8Array(key).buffer;
