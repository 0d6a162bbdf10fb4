/** Rows of a database that is gone, into the one in its place: the next session sends them, as those of a session that is over. */
import { toHex } from "@openclaw/core/bytes.ts";
import { isNothing } from "@openclaw/core/client/nothing.ts";
import { isAmong, nameOf, type Row } from "@openclaw/core/client/outbox-row.ts";
import { compactChange, compactRow } from "./compact.ts";
import type { ClientDatabase, Step } from "./schema.ts";

/** Copies that were taken up and may still stand in their files, as nothing could be written there; the oldest goes first. */
const KEYS_MAX = 64;

/** Keys of copies that were taken up into that database. None are known while nobody has looked for any: null. */
export async function takenUp(database: ClientDatabase): Promise<ReadonlySet<number> | null> {
  const keys = await database.get("identity", "takenFrom");
  return keys === undefined ? null : new Set(keys.split(" ").map(Number));
}

/** In one strict step. A row that is there already stays as it is. @param keys of the copies that they are from */
export async function takeUp(database: ClientDatabase, rows: readonly Row[], keys: readonly number[]): Promise<void> {
  const step = database.transaction(["links", "outbox", "failed", "changes", "identity"], "readwrite", {
    durability: "strict",
  });
  const instance = toHex(crypto.getRandomValues(new Uint8Array(16)));
  let taken = 0;
  try {
    const isRefused = isAmong(await step.objectStore("failed").getAll());
    for (const row of once(rows)) {
      if (isRefused(row) || (await isWaiting(step, row))) continue;
      await put(step, row);
      if (row.command.kind === "change") {
        const { collection, document, changes } = row.command;
        await step.objectStore("changes").put(changes.map(compactChange), [collection, document, instance, taken]);
      }
      taken++;
    }
    const identity = step.objectStore("identity");
    await identity.put(String(Number((await identity.get("takenUp")) ?? 0) + taken), "takenUp");
    const from = ((await identity.get("takenFrom")) ?? "").split(" ").filter((key) => key !== "");
    await identity.put([...from, ...keys].slice(-KEYS_MAX).join(" "), "takenFrom");
  } catch (error) {
    step.done.catch(() => undefined);
    step.abort();
    throw error;
  }
  await step.done;
}

/** Of two copies of a row, one of a page that heard that it was refused, or discarded, is the later one. */
function once(rows: readonly Row[]): Iterable<Row> {
  const byName = new Map<string, Row>();
  for (const row of rows) {
    const name = nameOf(row);
    if ("code" in row || isNothing(row.command) || !byName.has(name)) byName.set(name, row);
  }
  return byName.values();
}

async function put(step: TakeUpStep, row: Row): Promise<void> {
  if ("code" in row) {
    await step.objectStore("failed").add({ ...row, ...compactRow(row) });
    return;
  }
  const links = step.objectStore("links");
  await links.put(Math.max((await links.get(row.link)) ?? 1, row.seq + 1), row.link);
  // Alone: rows of one link may come from several copies, in any order.
  await step.objectStore("outbox").put([compactRow(row)], [row.link, row.seq]);
}

type TakeUpStep = Pick<Step, "objectStore">;

async function isWaiting(step: TakeUpStep, { link, seq: at }: Row): Promise<boolean> {
  // A packed row is found by its last number.
  const cursor = await step.objectStore("outbox").openCursor(IDBKeyRange.bound([link, at], [link, []]));
  return cursor?.value.some((row) => row.seq === at) ?? false;
}
