/** The SQLite state: the contract. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { STATE_CLUSTER, STATE_EPOCH, STATE_MEMBERSHIP, stateStoreContract } from "../../contracts/state-store.ts";

stateStoreContract("SqliteStateStore", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "openclaw-state-"));
  return {
    store: () =>
      new SqliteStateStore({ dataDir, cluster: STATE_CLUSTER, epoch: STATE_EPOCH, membership: STATE_MEMBERSHIP }),
    destroy: async () => rmSync(dataDir, { recursive: true, force: true }),
  };
});
