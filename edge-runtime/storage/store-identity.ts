/** Whose database it is, in a row of one layout for all format versions, with a checksum: read before anything else. */
import { equalBytes } from "@openclaw/core/bytes.ts";
import { encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { StoreIdentity } from "@openclaw/core/store-identity.ts";
import { sha256 } from "./sha256.ts";
import type { Connection } from "./sqlite.ts";

const identitySum = (identity: StoreIdentity): Uint8Array =>
  sha256(encode([identity.format, identity.role, identity.cluster, identity.partition, identity.node]));

/** Replaces the identity; called inside a transaction. */
export function writeIdentity(connection: Connection, identity: StoreIdentity): void {
  connection.exec(
    `CREATE TABLE IF NOT EXISTS identity (
       id INTEGER PRIMARY KEY CHECK (id = 0), format INTEGER, role TEXT, cluster TEXT, partition INTEGER, node TEXT, sum BLOB
     ) STRICT`,
  );
  connection
    .prepare("INSERT OR REPLACE INTO identity VALUES (0, ?, ?, ?, ?, ?, ?)")
    .run(identity.format, identity.role, identity.cluster, identity.partition, identity.node, identitySum(identity));
}

/** Null for a database without tables. @throws OpenClawError DATA_CORRUPT */
export function readIdentity(connection: Connection): StoreIdentity | null {
  const tables = connection.prepare<[], number>("SELECT count(*) FROM sqlite_schema").pluck().get() ?? 0;
  if (tables === 0) return null;
  const known = connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'identity'").get();
  if (known === undefined) throw new OpenClawError("DATA_CORRUPT", `${connection.name} has no identity`);
  const row = connection
    .prepare<[], StoreIdentity & { readonly sum: Uint8Array }>(
      "SELECT format, role, cluster, partition, node, sum FROM identity",
    )
    .get();
  if (row === undefined || !(row.sum instanceof Uint8Array) || !equalBytes(row.sum, identitySum(row))) {
    throw new OpenClawError("DATA_CORRUPT", `the identity in ${connection.name} fails its check`);
  }
  return row;
}
