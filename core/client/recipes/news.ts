/**
 * Says that something happened under a prefix, as soon as this client's stream brings it. That is a reason to look again
 * and nothing more: what is true only a linearizable read tells.
 */
import { equalBytes } from "../../bytes.ts";
import type { KeyEvent } from "../key-row.ts";
import type { RecipeHost } from "./host.ts";

export class News {
  readonly #unwatch: () => void;
  /** The one that is waited for; null: any, because the look that will tell is under way. */
  #key: Uint8Array | null = null;
  #came = false;
  #wake: () => void = () => {};

  constructor(kv: RecipeHost["kv"], prefix: Uint8Array) {
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

  /** Resolves when something came since `begin`: from now on, of that key only. @param key null: of any */
  async of(key: Uint8Array | null): Promise<void> {
    if (this.#came) return;
    this.#key = key;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  end(): void {
    this.#unwatch();
    this.#wake();
  }

  #concerns({ key, origin }: KeyEvent): boolean {
    return origin === null && (this.#key === null || equalBytes(key, this.#key));
  }
}
