/** An ordered map from bytes to bytes in one table: prepared statements, whose writes are in whatever transaction is open. */
import type { Row, StateView, Write } from "@openclaw/core/state-machine/view.ts";
import type { Connection } from "./sqlite.ts";

export class RowTable implements StateView {
  readonly #get;
  readonly #scan;
  readonly #scanToEnd;
  readonly #put;
  readonly #delete;

  constructor(connection: Connection, table: "state" | "history") {
    this.#get = connection.prepare<[Uint8Array], Uint8Array>(`SELECT v FROM ${table} WHERE k = ?`).pluck();
    this.#scan = connection.prepare<[Uint8Array, Uint8Array, number], Row>(
      `SELECT k AS key, v AS value FROM ${table} WHERE k >= ? AND k < ? ORDER BY k LIMIT ?`,
    );
    this.#scanToEnd = connection.prepare<[Uint8Array, number], Row>(
      `SELECT k AS key, v AS value FROM ${table} WHERE k >= ? ORDER BY k LIMIT ?`,
    );
    this.#put = connection.prepare(
      `INSERT INTO ${table} (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v`,
    );
    this.#delete = connection.prepare(`DELETE FROM ${table} WHERE k = ?`);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#get.get(key);
  }

  scan(from: Uint8Array, to: Uint8Array | null, limit: number): readonly Row[] {
    return to === null ? this.#scanToEnd.all(from, limit) : this.#scan.all(from, to, limit);
  }

  write(writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      if (value === null) this.#delete.run(key);
      else this.#put.run(key, value);
    }
  }
}
