/** An ordered map from bytes to bytes in one table: prepared statements, whose writes are in whatever transaction is open. */
import { keyAfter } from "@openclaw/core/state-machine/row-pages.ts";
import type { Row, RowCount, StateView, Write } from "@openclaw/core/state-machine/view.ts";
import type { Connection } from "./sqlite.ts";

interface Counted {
  readonly rows: number;
  readonly last: Uint8Array | null;
}

export class RowTable implements StateView {
  readonly #get;
  readonly #scan;
  readonly #scanToEnd;
  readonly #count;
  readonly #countToEnd;
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
    const counted = "SELECT count(*) AS rows, max(k) AS last FROM";
    this.#count = connection.prepare<[Uint8Array, Uint8Array, number], Counted>(
      `${counted} (SELECT k FROM ${table} WHERE k >= ? AND k < ? ORDER BY k LIMIT ?)`,
    );
    this.#countToEnd = connection.prepare<[Uint8Array, number], Counted>(
      `${counted} (SELECT k FROM ${table} WHERE k >= ? ORDER BY k LIMIT ?)`,
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

  count(from: Uint8Array, to: Uint8Array | null, limit: number): RowCount {
    const counted = to === null ? this.#countToEnd.get(from, limit) : this.#count.get(from, to, limit);
    const { rows = 0, last = null } = counted ?? {};
    return { rows, next: rows < limit || last === null ? null : keyAfter(last) };
  }

  write(writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      if (value === null) this.#delete.run(key);
      else this.#put.run(key, value);
    }
  }
}
