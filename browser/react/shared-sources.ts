/**
 * What the components of one client look at, each once however many look: opened when the first begins, closed after the
 * last has ended. Nothing is kept of a render, which may be thrown away: an entry lives from subscription to subscription.
 */
import { useCallback, useSyncExternalStore } from "react";

export interface Source<State> {
  /** The same object until it changed. */
  state(): State;
  /** Calls back when `state` changed; the returned function ends it. */
  subscribe(listener: () => void): () => void;
  close(): void;
}

interface Entry<State> {
  readonly source: Source<State>;
  lookers: number;
}

export class SharedSources<State> {
  readonly #entries = new Map<string, Entry<State>>();

  /** Undefined while nobody looks. */
  state(name: string): State | undefined {
    return this.#entries.get(name)?.source.state();
  }

  subscribe(name: string, open: () => Source<State>, listener: () => void): () => void {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = { source: open(), lookers: 0 };
      this.#entries.set(name, entry);
    }
    const looked = entry;
    const end = looked.source.subscribe(listener);
    looked.lookers++;
    return () => {
      end();
      looked.lookers--;
      if (looked.lookers === 0) this.#closeSoon(name, looked);
    };
  }

  /** Not at once: who unsubscribes often subscribes again in the same turn (StrictMode, one component in another's place). */
  #closeSoon(name: string, entry: Entry<State>): void {
    queueMicrotask(() => {
      if (entry.lookers > 0 || this.#entries.get(name) !== entry) return;
      this.#entries.delete(name);
      entry.source.close();
    });
  }
}

/** The state of one source; `absent` until it is open, without a client, and on a server. */
export function useShared<State>(
  sources: SharedSources<State> | null,
  name: string,
  open: () => Source<State>,
  absent: State,
): State {
  // biome-ignore lint/correctness/useExhaustiveDependencies: `name` stands for `open`, which is another function each time
  const subscribe = useCallback(
    (listener: () => void) => sources?.subscribe(name, open, listener) ?? nothing,
    [sources, name],
  );
  return useSyncExternalStore(
    subscribe,
    () => sources?.state(name) ?? absent,
    () => absent,
  );
}

const nothing = (): void => {};
