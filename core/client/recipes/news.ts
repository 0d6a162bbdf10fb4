/**
 * Says that something happened under a prefix, as soon as this client's stream brings it, and now and then that it may have:
 * a restored state may lack a key whose end no event tells. That is a reason to look again and nothing more: what is true
 * only a linearizable read tells.
 */
import { equalBytes } from "../../bytes.ts";
import type { Clock } from "../../ports.ts";
import type { KeyEvent } from "../key-row.ts";
import type { RecipeHost } from "./host.ts";

/** A look is repeated after so long, ms. */
const LOOK_MS = 30_000;

export class News {
  readonly #clock: Clock;
  readonly #unwatch: () => void;
  /** The one that is waited for; null: any, because the look that will tell is under way. */
  #key: Uint8Array | null = null;
  #came = false;
  #ended = false;
  #wake: () => void = () => {};

  constructor({ kv, ports }: RecipeHost, prefix: Uint8Array) {
    this.#clock = ports.clock;
    this.#unwatch = kv.watch(prefix, (events) => {
      if (!events.some((event) => this.#concerns(event))) return;
      this.#came = true;
      this.#wake();
    });
  }

  /** Before a look: what comes from now on may not be in it. */
  begin(): void {
    this.#came = false;
    this.#key = null;
  }

  /** Resolves when it is time for another look: something came since `begin`, from now on of that key only. @param key null: of any */
  async of(key: Uint8Array | null): Promise<void> {
    if (this.#came || this.#ended) return;
    this.#key = key;
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(LOOK_MS, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  end(): void {
    this.#ended = true;
    this.#unwatch();
    this.#wake();
  }

  #concerns({ key, origin }: KeyEvent): boolean {
    return origin === null && (this.#key === null || equalBytes(key, this.#key));
  }
}
