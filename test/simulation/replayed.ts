/** What a ledger alone says of the content at its end: to be compared with the content of the state that wrote it. */
import type { Sha256, StoredRecord } from "@openclaw/core/ports.ts";
import { replay } from "@openclaw/core/state-machine/replay.ts";
import { contentHash } from "@openclaw/core/state-machine/state-hash.ts";
import { MemoryView } from "./memory-view.ts";

/** @param ledger from revision 1 on */
export function replayedContent(ledger: readonly StoredRecord[], sha256: Sha256): Uint8Array {
  const view = new MemoryView();
  view.write(replay(sha256, view, ledger));
  return contentHash(view, sha256).hash;
}
