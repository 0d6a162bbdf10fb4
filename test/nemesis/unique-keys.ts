/** Writers of keys that nobody else writes, each once: what was acknowledged must be there at the end, and is counted. */
import type { Client } from "@openclaw/core/client/client.ts";
import type { KeyValueClient, Versioned } from "./key-value-client.ts";
import type { Observations } from "./observations.ts";

export const UNIQUE_PREFIX = "unique-";

export class UniqueKeys {
  /** Revision at which each was acknowledged. */
  readonly #acknowledged = new Map<string, number>();
  readonly #observations: Observations;
  #count = 0;

  constructor(observations: Observations) {
    this.#observations = observations;
  }

  /** Writes the next one over HTTP; without a success it is given up. @returns whether it was answered */
  async put(client: KeyValueClient): Promise<boolean> {
    const key = this.#nextKey();
    const from = this.#observations.now();
    const answer = await client.put(key, key);
    switch (answer.kind) {
      case "ok":
        this.#acknowledged.set(key, answer.result);
        this.#observations.add(from, "ok", true);
        return true;
      case "unsent":
        this.#observations.add(from, "unreachable", true, answer.code);
        return false;
      case "unknown":
        this.#observations.add(from, "unknown", true, answer.code);
        return false;
      case "absent":
      case "differs":
        throw new Error(`a put was answered ${answer.kind}`);
    }
  }

  /** Writes the next one by the native client, which goes on until it is acknowledged. */
  async putNatively(client: Client): Promise<void> {
    const key = this.#nextKey();
    const from = this.#observations.now();
    const revision = await client.kv.put(key, key).site;
    this.#acknowledged.set(key, revision);
    this.#observations.add(from, "ok", true);
  }

  /** Those that are not there as they were acknowledged, in words. */
  missing(stored: ReadonlyMap<string, Versioned>): readonly string[] {
    const findings: string[] = [];
    for (const [key, revision] of this.#acknowledged) {
      const row = stored.get(key);
      if (row === undefined) findings.push(`${key}, acknowledged at revision ${revision}, is not there`);
      else if (row.revision !== revision || row.value !== key)
        findings.push(`${key}, acknowledged at revision ${revision}, is at ${row.revision} with value ${row.value}`);
    }
    return findings;
  }

  #nextKey(): string {
    return `${UNIQUE_PREFIX}${++this.#count}`;
  }
}
