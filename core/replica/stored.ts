/** What a member finds in its stores when it starts. */
import { OpenClawError } from "../errors.ts";
import { index } from "../ids.ts";
import type { LogStore, StateStore, StoredLog, StoredState } from "../ports.ts";

/**
 * Opens both stores and makes the log follow the state.
 * @throws OpenClawError DATA_CORRUPT, DATA_FOREIGN, DATA_IN_USE, DATA_NEWER, STOPPED when `wanted` says so meanwhile
 */
export async function openStores(
  state: StateStore,
  log: LogStore,
  wanted: () => boolean,
): Promise<{ readonly state: StoredState; readonly log: StoredLog }> {
  const [storedState, opened] = await Promise.all([state.open(), log.open()]);
  if (!wanted()) throw new OpenClawError("STOPPED");
  const storedLog = await fitting(log, opened, storedState);
  if (!wanted()) throw new OpenClawError("STOPPED");
  return { state: storedState, log: storedLog };
}

/**
 * The log, which holds the entry that the state applied last. If it holds none or another one there (R8), a snapshot was
 * installed, or a follower applied what was committed before its own disk had it, and the crash came before the log's
 * write: nothing of such a log is of use, for what follows an entry that is not the committed one is not either.
 *
 * Beside a state that applied something, a log that never knew of a term was lost, or this is a newcomer whose power went
 * in its first moment. What it acknowledged above `applied` nobody here can tell: it counts again with an entry more (R5).
 */
async function fitting(log: LogStore, stored: StoredLog, { applied, appliedTerm }: StoredState): Promise<StoredLog> {
  const { hardState, base, entries, highWater } = stored;
  if (holdsApplied(stored, { applied, appliedTerm })) return stored;
  const last = entries.at(-1)?.index ?? base.index;
  const fresh = { index: applied, term: appliedTerm };
  if (hardState.term === 0) {
    const missing = index(Math.max(highWater, applied + 1));
    await log.reset(fresh, missing);
    return { hardState, base: fresh, entries: [], highWater: missing };
  }
  await log.reset(fresh);
  // As the store itself does (R5): what was lost stays lost, what is dropped here is not missed.
  return { hardState, base: fresh, entries: [], highWater: last < highWater ? highWater : applied };
}

/**
 * Whether the log holds the entry that the state applied last (R8): only then do its later entries follow the state.
 * @throws OpenClawError DATA_CORRUPT when the state ends before the log begins
 */
export function holdsApplied(
  { base, entries }: Pick<StoredLog, "base" | "entries">,
  { applied, appliedTerm }: Pick<StoredState, "applied" | "appliedTerm">,
): boolean {
  if (applied < base.index)
    throw new OpenClawError(
      "DATA_CORRUPT",
      `the state ends at ${applied}, before the log's first entry, ${base.index + 1}`,
    );
  const at = applied === base.index ? base : entries[applied - base.index - 1];
  return at?.term === appliedTerm;
}
