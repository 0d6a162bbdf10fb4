/**
 * The store of a client in Node.js: one SQLite file, of one process at a time. Each write is one transaction, fsynced when it
 * resolves (S1). It is made in the caller's thread, which waits for that fsync, below a millisecond on most disks: for a
 * program that cannot wait, the client belongs in a worker.
 */
import { deserialize, serialize } from "node:v8";
import { causalOrder } from "@openclaw/core/client/causal-order.ts";
import type {
  Awaiting,
  ClientStore,
  ClientWrite,
  DownCursor,
  FailedRow,
  MirrorRow,
  OutboxRow,
  QuarantinedRow,
} from "@openclaw/core/client/store.ts";
import { InvariantViolation, OpenClawError } from "@openclaw/core/errors.ts";
import { isLinkId, type LinkId, type Seq, seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import type { Statement as SqliteStatement } from "better-sqlite3";
import { type Connection, openExclusive } from "./sqlite.ts";

type Statement = SqliteStatement<unknown[], unknown>;

/** Pages of the WAL at which a commit copies them into the file: 4 MiB. */
const WAL_PAGES_MAX = 1_024;
const SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE links (link TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (link TEXT, seq INTEGER, row BLOB NOT NULL, PRIMARY KEY (link, seq)) WITHOUT ROWID;
CREATE TABLE changes (collection TEXT, document TEXT, hash TEXT, row BLOB NOT NULL, PRIMARY KEY (collection, document, hash));
CREATE TABLE awaiting (revision INTEGER NOT NULL, row BLOB NOT NULL);
CREATE INDEX awaiting_revision ON awaiting (revision);
CREATE TABLE failed (id INTEGER PRIMARY KEY AUTOINCREMENT, link TEXT NOT NULL, seq INTEGER NOT NULL, row BLOB NOT NULL);
CREATE TABLE quarantined (collection TEXT, document TEXT, hash TEXT, row BLOB NOT NULL, PRIMARY KEY (collection, document, hash)) WITHOUT ROWID;
CREATE TABLE mirror (origin TEXT, key BLOB, row BLOB NOT NULL, PRIMARY KEY (origin, key)) WITHOUT ROWID;
CREATE TABLE down (id INTEGER PRIMARY KEY CHECK (id = 1), row BLOB NOT NULL);
PRAGMA user_version = ${SCHEMA_VERSION};
`;

export class SqliteClientStore implements ClientStore {
  readonly #connection: Connection;

  /**
   * @param path of the file, which is created unless it is there
   * @throws OpenClawError DATA_IN_USE: another process has it; DATA_NEWER, DATA_CORRUPT, SQLITE_TOO_OLD, STORAGE_FULL,
   * STORAGE_FAILED
   */
  constructor(path: string) {
    this.#connection = openExclusive(path, { synchronous: "FULL", walPagesMax: WAL_PAGES_MAX });
    const version = Number(this.#connection.pragma("user_version", { simple: true }));
    if (version > SCHEMA_VERSION) {
      this.#connection.close();
      throw new OpenClawError("DATA_NEWER", `${path} has layout ${version}`);
    }
    if (version === 0) this.#connection.transaction(() => this.#connection.exec(SCHEMA))();
  }

  async write(write: ClientWrite): Promise<void> {
    this.#tried(() => this.#connection.transaction(() => this.#write(write))());
  }

  async outboxLinks(): Promise<readonly LinkId[]> {
    return this.#tried(() => this.#column<string>("SELECT DISTINCT link FROM outbox").filter(isLinkId));
  }

  async outbox(link: LinkId, from: Seq, limit: number): Promise<readonly OutboxRow[]> {
    return this.#rows("SELECT row FROM outbox WHERE link = ? AND seq >= ? ORDER BY seq LIMIT ?", link, from, limit);
  }

  async nextSeq(link: LinkId): Promise<Seq> {
    return this.#tried(() => seq(this.#column<number>("SELECT next FROM links WHERE link = ?", link)[0] ?? 1));
  }

  async awaiting(): Promise<readonly Awaiting[]> {
    return this.#rows("SELECT row FROM awaiting ORDER BY rowid");
  }

  async failed(): Promise<readonly FailedRow[]> {
    return this.#rows("SELECT row FROM failed ORDER BY id");
  }

  async quarantined(): Promise<readonly QuarantinedRow[]> {
    return this.#rows("SELECT row FROM quarantined");
  }

  async document(collection: string, document: string): Promise<readonly DocumentChange[]> {
    const sql = "SELECT row FROM changes WHERE collection = ? AND document = ? ORDER BY rowid";
    return causalOrder(this.#rows<DocumentChange>(sql, collection, document));
  }

  async documents(collection: string): Promise<readonly string[]> {
    return this.#tried(() =>
      this.#column<string>("SELECT DISTINCT document FROM changes WHERE collection = ?", collection),
    );
  }

  async collections(): Promise<readonly string[]> {
    return this.#tried(() => this.#column<string>("SELECT DISTINCT collection FROM changes ORDER BY collection"));
  }

  async mirror(origin: string | null, from: Uint8Array, to: Uint8Array | null): Promise<readonly MirrorRow[]> {
    const sql = "SELECT row FROM mirror WHERE origin = ? AND key >= ?";
    if (to === null) return this.#rows(`${sql} ORDER BY key`, origin ?? "", from);
    return this.#rows(`${sql} AND key < ? ORDER BY key`, origin ?? "", from, to);
  }

  async mirrored(): Promise<readonly MirrorRow[]> {
    return this.#rows("SELECT row FROM mirror");
  }

  async down(): Promise<DownCursor | null> {
    return this.#rows<DownCursor>("SELECT row FROM down")[0] ?? null;
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  #write(write: ClientWrite): void {
    for (const row of write.enqueue ?? []) {
      const next = "INSERT INTO links VALUES (?, ?) ON CONFLICT (link) DO UPDATE SET next = max(next, excluded.next)";
      this.#run(next, row.link, row.seq + 1);
      this.#run("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?)", row.link, row.seq, serialize(row));
    }
    for (const { collection, document, changes } of write.changes ?? [])
      for (const change of changes)
        this.#run(
          "INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?)",
          collection,
          document,
          change.hash,
          serialize(change),
        );
    for (const { collection, document, changes } of write.dropped ?? [])
      for (const { hash } of changes)
        this.#run("DELETE FROM changes WHERE collection = ? AND document = ? AND hash = ?", collection, document, hash);
    for (const row of write.replaced ?? [])
      this.#run("UPDATE outbox SET row = ? WHERE link = ? AND seq = ?", serialize(row), row.link, row.seq);
    for (const { link, seq: at } of write.answered ?? [])
      this.#run("DELETE FROM outbox WHERE link = ? AND seq = ?", link, at);
    for (const row of write.awaiting ?? [])
      this.#run("INSERT INTO awaiting VALUES (?, ?)", row.revision, serialize(row));
    if (write.hubHolds !== undefined) this.#run("DELETE FROM awaiting WHERE revision <= ?", write.hubHolds);
    for (const row of write.failed ?? [])
      this.#run("INSERT INTO failed (link, seq, row) VALUES (?, ?, ?)", row.link, row.seq, serialize(row));
    for (const { link, seq: at } of write.forgetFailed ?? [])
      this.#run("DELETE FROM failed WHERE link = ? AND seq = ?", link, at);
    for (const row of write.quarantined ?? []) {
      const { collection, document, hash } = row;
      this.#run("INSERT OR REPLACE INTO quarantined VALUES (?, ?, ?, ?)", collection, document, hash, serialize(row));
    }
    for (const { collection, document, hash } of write.released ?? []) {
      const released = "DELETE FROM quarantined WHERE collection = ? AND document = ? AND hash = ?";
      this.#run(released, collection, document, hash);
    }
    if (write.mirrorReset === true) this.#run("DELETE FROM mirror");
    for (const row of write.mirrorPuts ?? [])
      this.#run("INSERT OR REPLACE INTO mirror VALUES (?, ?, ?)", row.origin ?? "", row.key, serialize(row));
    for (const { key, origin } of write.mirrorDeletes ?? [])
      this.#run("DELETE FROM mirror WHERE origin = ? AND key = ?", origin ?? "", key);
    if (write.down !== undefined) this.#run("INSERT OR REPLACE INTO down VALUES (1, ?)", serialize(write.down));
  }

  readonly #statements = new Map<string, Statement>();

  #statement(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#connection.prepare<unknown[], unknown>(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #run(sql: string, ...values: readonly unknown[]): void {
    this.#statement(sql).run(...values);
  }

  /** What this store wrote: its file is nobody else's. */
  #rows<Row>(sql: string, ...values: readonly unknown[]): readonly Row[] {
    return this.#tried(() => this.#column<Uint8Array>(sql, ...values).map((bytes): Row => deserialize(bytes)));
  }

  #column<Value>(sql: string, ...values: readonly unknown[]): Value[] {
    return this.#statement(sql)
      .pluck()
      .all(...values) as Value[];
  }

  /** @throws OpenClawError CLIENT_STORAGE_FAILED */
  #tried<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      const details = error instanceof Error ? error.message : String(error);
      throw new OpenClawError("CLIENT_STORAGE_FAILED", details, { cause: error });
    }
  }
}
