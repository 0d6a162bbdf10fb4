/** Clients that send transactions, deletes of ranges, and ranges, one after the other. */
import { DrawnRequests } from "./drawn-requests.ts";
import { KeyClient, type KeyClientOptions } from "./key-client.ts";

export interface TxnClientsOptions extends KeyClientOptions {
  readonly keys: number;
  readonly thinkMs: number;
}

/** Of requests, ranges outside of transactions are this share. */
const READS = 0.35;
/** Of those, ranges at an earlier revision. */
const PAST = 0.3;
/** Of the others, those under an `Idempotency-Key`. */
const REPEATED = 0.1;

export class TxnClients {
  readonly #options: TxnClientsOptions;
  readonly #drawn: DrawnRequests;
  #ended = false;

  constructor(options: TxnClientsOptions, count: number) {
    this.#options = options;
    this.#drawn = new DrawnRequests(options.random, options.known, options.keys);
    for (let i = 0; i < count; i++) this.#think(new KeyClient(`txn client ${i + 1}`, options));
  }

  end(): void {
    this.#ended = true;
  }

  #think(client: KeyClient): void {
    const { clock, random, thinkMs } = this.#options;
    clock.after(1 + random.below(2 * thinkMs), () => {
      if (this.#ended) return;
      void this.#ask(client).then(() => this.#think(client));
    });
  }

  async #ask(client: KeyClient): Promise<void> {
    const { random } = this.#options;
    if (random.chance(READS)) return client.read(random.chance(PAST) ? this.#drawn.past() : this.#drawn.range());
    if (random.chance(REPEATED)) return client.insist(this.#drawn.command());
    await client.execute(this.#drawn.command());
  }
}
