/** What clients of keys and leases asked, each request in a name of its own, and what they were told. */
import type { Command, Range, Response } from "../../model/etcd.ts";
import type { Answer } from "../../model/translation.ts";

export type Told =
  | { readonly kind: "outcome"; readonly answer: Answer }
  /** What a linearizable range saw, and the revision of the state in which it was read. */
  | { readonly kind: "saw"; readonly response: Response; readonly at: number }
  /** What a range of an earlier revision was. */
  | { readonly kind: "was"; readonly response: Response };

export interface Asked {
  /** The principal of the request: no other request has it, so that the log tells which one a command was. */
  readonly name: string;
  /** The same was asked before, under one `Idempotency-Key`: it has its effect then, or never. */
  readonly repeats: boolean;
  readonly request: Command | Range;
  readonly began: number;
  /** Infinity for one that was never answered: it may take effect at any later time, or never. */
  ended: number;
  told: Told | null;
}

export class Requests {
  readonly all: Asked[] = [];
  readonly #names = new Set<string>();
  #moment = 0;
  #answered = 0;

  get answered(): number {
    return this.#answered;
  }

  /** The returned function notes what was told. */
  begin(name: string, request: Command | Range): (told: Told) => void {
    const repeats = this.#names.has(name);
    const ended = Number.POSITIVE_INFINITY;
    const asked: Asked = { name, repeats, request, began: ++this.#moment, ended, told: null };
    this.#names.add(name);
    this.all.push(asked);
    return (told) => {
      asked.ended = ++this.#moment;
      asked.told = told;
      this.#answered++;
    };
  }
}
