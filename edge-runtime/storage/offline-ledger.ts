/** The ledger in the folder of a node that does not run. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Revision } from "@openclaw/core/ids.ts";
import type { LedgerChecked } from "@openclaw/core/ports.ts";
import { requireIdentity } from "@openclaw/core/store-identity.ts";
import { checkLedger } from "./ledger-check.ts";
import { openExclusive } from "./sqlite.ts";
import { stateIdentity } from "./state-file.ts";
import { STATE_FILE } from "./state-protocol.ts";
import { StateTables } from "./state-tables.ts";
import { readIdentity } from "./store-identity.ts";

/** Pages of 4 KiB; nothing is written but what a start of the node would have moved. */
const WAL_PAGES_MAX = 8_192;

export interface OfflineLedger {
  check(from: Revision, to: Revision | null, maxBytes: number): LedgerChecked;
  close(): void;
}

/** @throws OpenClawError NOT_FOUND, DATA_IN_USE, DATA_CORRUPT, DATA_NEWER, DATA_FOREIGN */
export function openOfflineLedger(dataDir: string): OfflineLedger {
  const path = join(dataDir, STATE_FILE);
  if (!existsSync(path)) throw new OpenClawError("NOT_FOUND", `no state in ${dataDir}`);
  // As a start of the node: what stands in the WAL belongs to the ledger, and nobody else may have it open.
  const connection = openExclusive(path, { synchronous: "NORMAL", walPagesMax: WAL_PAGES_MAX });
  try {
    const identity = readIdentity(connection);
    if (identity === null) throw new OpenClawError("DATA_CORRUPT", `${path} holds no state`);
    requireIdentity(identity, stateIdentity(identity.cluster));
    const tables = new StateTables(connection);
    return {
      check: (from, to, maxBytes) => checkLedger(tables, from, to, maxBytes),
      close: () => void connection.close(),
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}
