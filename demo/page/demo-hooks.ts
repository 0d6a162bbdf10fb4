/** What whoever drives the page from outside may call: `window.openclawDemo`. */
import type { Client } from "@openclaw/browser";
import type { LogDocument, Patch } from "./log-document.ts";

/** After so long at one go the page gets a turn, ms. */
const TURN_MS_MAX = 30;

export interface Transaction {
  readonly patches: readonly Patch[];
  /** Heads at which the positions hold: hashes of changes, or places of earlier transactions of the same run. None: the empty text. */
  readonly parents: readonly (string | number)[];
}

export interface DemoHooks {
  readonly client: Client;
  /** One change each, at its parents; resolves with their hashes when all are on this device. */
  playRun(run: readonly Transaction[]): Promise<readonly string[]>;
  text(): string;
  heads(): readonly string[];
  /** Edits that the site has not taken yet. */
  unsynced(): number;
  /** Changes of the log that this device may not have stored yet. */
  unstored(): number;
  changeHashes(): readonly string[];
  /** Of a change of the log; null while it is on none. */
  rung(hash: string): string | null;
}

declare global {
  var openclawDemo: DemoHooks | undefined;
}

export const demoHooks = (client: Client, log: LogDocument): DemoHooks => ({
  client,
  async playRun(run) {
    const hashes: string[] = [];
    const stored: Promise<void>[] = [];
    let turn = performance.now();
    for (const [i, { patches, parents }] of run.entries()) {
      const heads = parents.map((parent) => (typeof parent === "number" ? (hashes[parent] ?? "") : parent));
      const edit = log.patch(patches, heads);
      const [hash] = edit.hashes;
      if (hash === undefined || edit.hashes.length > 1)
        throw new Error(`transaction ${i} is ${edit.hashes.length} changes`);
      hashes.push(hash);
      stored.push(edit.device);
      if (performance.now() - turn > TURN_MS_MAX) {
        await new Promise((resolve) => setTimeout(resolve));
        turn = performance.now();
      }
    }
    await Promise.all(stored);
    return hashes;
  },
  text: () => log.text(),
  heads: () => log.heads(),
  unsynced: () => client.status().unsynced,
  unstored: () => log.edits().filter(({ rung }) => rung === null).length,
  changeHashes: () => log.changeHashes().sort(),
  rung: (hash) => log.edits().find((edit) => edit.hash === hash)?.rung ?? null,
});
