/**
 * Shows provisional changes (D5) that are sound as they come, with a turn for everybody else after each document: what comes meanwhile is
 * shown together. What is too much is left out, as it shows when it is committed.
 */
import type { DocumentChange } from "../ledger/record.ts";
import type { NextTurn } from "../ports.ts";
import type { Inspection } from "./inspection.ts";

/** Changes of one document, and documents, that wait for a turn. */
const WAITING_CHANGES_MAX = 64;
const WAITING_DOCUMENTS_MAX = 64;

interface Foreseeing {
  foresee(changes: readonly DocumentChange[]): void;
}

export class Foresight {
  readonly #nextTurn: NextTurn;
  readonly #inspection: Inspection;
  readonly #waiting = new Map<Foreseeing, DocumentChange[]>();
  #isRunning = false;

  constructor(nextTurn: NextTurn, inspection: Inspection) {
    this.#nextTurn = nextTurn;
    this.#inspection = inspection;
  }

  add(document: Foreseeing, changes: readonly DocumentChange[]): void {
    const waiting = this.#waiting.get(document) ?? [];
    if (waiting.length + changes.length > WAITING_CHANGES_MAX || this.#waiting.size >= WAITING_DOCUMENTS_MAX) return;
    waiting.push(...changes);
    this.#waiting.set(document, waiting);
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (const [document, changes] of this.#waiting) {
      this.#waiting.delete(document);
      const sound = await this.#sound(changes);
      if (sound.length > 0) document.foresee(sound);
      await this.#nextTurn();
    }
    this.#isRunning = false;
  }

  /** D1. Nothing is written down of the others: when they are committed they are looked at again. */
  async #sound(changes: readonly DocumentChange[]): Promise<readonly DocumentChange[]> {
    try {
      const findings = await this.#inspection.changes(changes);
      return changes.filter((_, i) => findings[i] === null);
    } catch {
      // Who inspects is gone. What is committed is not taken then either, and that is told.
      return [];
    }
  }
}
