/** What a restore writes, as a store in memory begins with it (L3). */

import type { Lineage } from "@openclaw/core/ids.ts";
import { type ClusterId, type Epoch, index, type NodeId, revision, term } from "@openclaw/core/ids.ts";
import { departed } from "@openclaw/core/ledger/lineage.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { replay } from "@openclaw/core/state-machine/replay.ts";
import { restoredWrites } from "@openclaw/core/state-machine/restored.ts";
import type { Image } from "./memory-image.ts";
import { MemoryView } from "./memory-view.ts";
import { sha256 } from "./sha256.ts";

/**
 * @param ledger of the cluster that is restored; all of it is kept, so the departure is its end
 * @param applied the index that it is said to have applied
 */
export function departedImage(
  cluster: ClusterId,
  before: Lineage,
  epoch: Epoch,
  ledger: readonly StoredRecord[],
  beginning: Uint8Array,
  voters: readonly NodeId[],
  applied = 0,
): Image {
  const view = new MemoryView();
  view.write(replay(sha256, view, ledger));
  const hash = ledger.at(-1)?.hash ?? beginning;
  view.write(
    restoredWrites(view, {
      cluster,
      lineage: departed(before, epoch, hash),
      revision: epoch.departure,
      hash,
      applyVersion: 1,
      compacted: revision(0),
      lease: () => ({ ttlMs: 60_000, wallDue: 0, salt: new Uint8Array(16) }),
    }),
  );
  const at = { applied: index(applied), appliedTerm: term(Math.min(1, applied)), membership: founding(voters) };
  return { ...at, rows: view.rows(), history: [], ledger, base: null, installed: index(0) };
}
