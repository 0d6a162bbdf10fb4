/** Who else is somewhere, as one component sees it. The client joins what several ask of one topic. */
import type { Client } from "@openclaw/core/client/client.ts";
import type { Other, PresenceHandle } from "@openclaw/core/client/presence-handle.ts";
import type { StandardSchema } from "@openclaw/core/client/standard-schema.ts";
import { asOpenClawError, type OpenClawError } from "@openclaw/core/errors.ts";

/** A document (its handle will do), or a name. */
export type PresencePlace = string | { readonly collection: string; readonly id: string };

export interface PresenceState<T> {
  /** The same array until one changed. */
  readonly others: readonly Other<T>[];
  /** Why this page is not seen, or sees nobody: FORBIDDEN, OVERLOADED, BAD_REQUEST; null where there is no reason. */
  readonly refusal: OpenClawError | null;
}

export const NOBODY: PresenceState<never> = { others: [], refusal: null };

export class PresenceSource<Input, Output> {
  readonly #open: () => PresenceHandle<Input, Output>;
  readonly #listeners = new Set<() => void>();
  #handle: PresenceHandle<Input, Output> | null = null;
  #state: PresenceState<Output> = NOBODY;
  #value: Input | null = null;

  constructor(client: Client, place: PresencePlace, schema: StandardSchema<Input, Output>) {
    this.#open = () => client.presence.of(place, { schema });
  }

  readonly state = (): PresenceState<Output> => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    this.#begin();
    return () => {
      this.#listeners.delete(listener);
      // Not at once: who unsubscribes often subscribes again in the same turn (StrictMode).
      queueMicrotask(() => {
        if (this.#listeners.size === 0) this.#end();
      });
    };
  };

  /** @throws OpenClawError VALUE_INVALID, BAD_REQUEST */
  readonly set = (value: Input | null): void => {
    this.#handle?.set(value);
    this.#value = value;
  };

  #begin(): void {
    if (this.#handle !== null) return;
    try {
      const handle = this.#open();
      this.#handle = handle;
      handle.subscribe(() => this.#look(handle));
      if (this.#value !== null) handle.set(this.#value);
      this.#look(handle);
    } catch (error) {
      this.#become({ others: [], refusal: asOpenClawError(error) });
    }
  }

  #end(): void {
    this.#handle?.close();
    this.#handle = null;
    this.#state = NOBODY;
  }

  #look(handle: PresenceHandle<Input, Output>): void {
    const [others, refusal] = [handle.others(), handle.refusal()];
    if (others !== this.#state.others || refusal !== this.#state.refusal) this.#become({ others, refusal });
  }

  #become(state: PresenceState<Output>): void {
    this.#state = state;
    for (const listener of [...this.#listeners]) listener();
  }
}
