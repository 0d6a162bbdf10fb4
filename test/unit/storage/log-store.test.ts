/** The SQLite log: the contract, and what only a disk can do. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteLogStore } from "@openclaw/edge-runtime/storage/log-store.ts";
import { logStoreContract } from "../../contracts/log-store.ts";
import { CLUSTER, NODE } from "./storage-fixture.ts";

logStoreContract("SqliteLogStore", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "openclaw-log-"));
  return {
    store: () => new SqliteLogStore({ dataDir, cluster: CLUSTER, node: NODE }),
    destroy: async () => rmSync(dataDir, { recursive: true, force: true }),
  };
});
