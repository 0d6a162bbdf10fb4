/** Rows of the outbox, and what becomes of them, in a step of the store. */
import type { Awaiting, ClientWrite, OutboxRow } from "@openclaw/core/client/store.ts";
import type { LinkId, Revision, Seq } from "@openclaw/core/ids.ts";
import { compactRow } from "./compact.ts";
import type { BatchName, Step } from "./schema.ts";

export async function enqueue(step: Step, rows: readonly OutboxRow[]): Promise<void> {
  for (const [link, own] of Map.groupBy(rows, (row) => row.link)) {
    const last = own.at(-1);
    if (last === undefined) continue;
    const links = step.objectStore("links");
    await links.put(Math.max((await links.get(link)) ?? 1, last.seq + 1), link);
    await step.objectStore("outbox").put(own.map(compactRow), [link, last.seq]);
  }
}

/** Few at a time, as a person discards them: each is looked for by itself. */
export async function replace(step: Step, rows: readonly OutboxRow[]): Promise<void> {
  for (const row of rows) {
    // A packed row is found by its last number.
    const cursor = await step.objectStore("outbox").openCursor(IDBKeyRange.bound([row.link, row.seq], [row.link, []]));
    if (cursor === null || !cursor.value.some(({ seq: at }) => at === row.seq)) continue;
    await cursor.update(cursor.value.map((one) => (one.seq === row.seq ? compactRow(row) : one)));
  }
}

export async function answer(
  step: Step,
  answered: readonly { readonly link: LinkId; readonly seq: Seq }[],
): Promise<void> {
  for (const [link, own] of Map.groupBy(answered, (row) => row.link)) {
    const numbers = new Set(own.map((row) => row.seq));
    const lowest = Math.min(...numbers);
    const highest = Math.max(...numbers);
    let cursor = await step.objectStore("outbox").openCursor(IDBKeyRange.bound([link, lowest], [link, []]));
    while (cursor !== null && (cursor.value[0]?.seq ?? 0) <= highest) {
      const left = cursor.value.filter((row) => !numbers.has(row.seq));
      if (left.length === 0) await cursor.delete();
      else if (left.length < cursor.value.length) await cursor.update(left);
      cursor = await cursor.continue();
    }
  }
}

export async function addAwaiting(step: Step, rows: readonly Awaiting[], name: BatchName): Promise<void> {
  if (rows.length === 0) return;
  const revisions = rows.map((row) => row.revision);
  await step.objectStore("awaiting").put(rows, [Math.max(...revisions), Math.min(...revisions), ...name]);
}

export async function forgetAwaiting(step: Step, holds: Revision): Promise<void> {
  const store = step.objectStore("awaiting");
  await store.delete(IDBKeyRange.upperBound([holds, []]));
  // What is left ends above `holds`; rows that start at or below it lose a part.
  for (const key of await store.getAllKeys()) {
    if (key[1] > holds) continue;
    const left = ((await store.get(key)) ?? []).filter((row) => row.revision > holds);
    const lowest = Math.min(...left.map((row) => row.revision));
    await store.delete(key);
    await store.put(left, [key[0], lowest, key[2], key[3]]);
  }
}

/** Refused rows are few, as a person looks at each: a walk over all of them will do. */
export async function forgetFailed(step: Step, forgotten: NonNullable<ClientWrite["forgetFailed"]>): Promise<void> {
  if (forgotten.length === 0) return;
  let cursor = await step.objectStore("failed").openCursor();
  while (cursor !== null) {
    const { link, seq: number } = cursor.value;
    if (forgotten.some((row) => row.link === link && row.seq === number)) await cursor.delete();
    cursor = await cursor.continue();
  }
}
