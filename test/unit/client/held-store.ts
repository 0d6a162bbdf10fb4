import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import type { ClientWrite } from "@openclaw/core/client/store.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";

/** A store whose writes can be held back, and can fail. */
export class HeldStore extends MemoryClientStore {
  #held: (() => void)[] = [];
  holding = false;
  failing = 0;
  writes = 0;

  override async write(step: ClientWrite): Promise<void> {
    if (this.holding) await new Promise<void>((resolve) => this.#held.push(resolve));
    this.writes++;
    if (this.failing > 0) {
      this.failing--;
      throw new OpenClawError("CLIENT_STORAGE_FAILED", "planted");
    }
    await super.write(step);
  }

  release(): void {
    this.holding = false;
    for (const go of this.#held.splice(0)) go();
  }
}
