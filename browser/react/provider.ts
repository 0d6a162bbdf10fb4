/** Hands a client to the components below. */
import type { Client } from "@openclaw/core/client/client.ts";
import type { MirrorState } from "@openclaw/core/client/key-mirrors.ts";
import { createContext, createElement, type ReactNode, useContext, useSyncExternalStore } from "react";
import type { DocumentView } from "./document-source.ts";
import { SharedSources } from "./shared-sources.ts";

export interface OpenClawProviderProps {
  /**
   * What `openClaw` returned: call it once, outside of components. Null on a server, and wherever there is none. The
   * client stays the app's: it is not stopped here.
   */
  readonly client: Client | Promise<Client> | null;
  readonly children?: ReactNode;
}

/** A client with what its components look at. */
export interface OpenClient {
  readonly client: Client;
  readonly documents: SharedSources<DocumentView<object>>;
  readonly mirrors: SharedSources<MirrorState>;
}

type Opening = { readonly kind: "opening" } | { readonly kind: "failed"; readonly error: unknown } | Open;
type Open = { readonly kind: "open" } & OpenClient;

const OPENING: Opening = { kind: "opening" };
const clients = new WeakMap<Client, Open>();
const sources = new WeakMap<Client | Promise<Client>, OpeningSource>();

const Context = createContext<Opening | null>(null);

export function OpenClawProvider({ client, children }: OpenClawProviderProps): ReactNode {
  const source = sourceOf(client);
  const opening = useSyncExternalStore(source.subscribe, source.state, () => OPENING);
  return createElement(Context, { value: opening }, children);
}

/** Null while it is being opened, and on a server. @throws to the nearest error boundary, what opening it failed with */
export const useClient = (): Client | null => useOpenClient()?.client ?? null;

export function useOpenClient(): OpenClient | null {
  const opening = useContext(Context);
  if (opening === null) throw new Error("there is no <OpenClawProvider> around this component");
  if (opening.kind === "failed") throw opening.error;
  return opening.kind === "open" ? opening : null;
}

interface OpeningSource {
  readonly state: () => Opening;
  readonly subscribe: (listener: () => void) => () => void;
}

const NEVER: OpeningSource = { state: () => OPENING, subscribe: () => () => {} };

/** The same for the same client: a provider that is rendered again, or twice, must not begin anew. */
function sourceOf(client: Client | Promise<Client> | null): OpeningSource {
  if (client === null) return NEVER;
  const known = sources.get(client);
  if (known !== undefined) return known;
  const source = "then" in client ? promisedSource(client) : { ...NEVER, state: () => openClient(client) };
  sources.set(client, source);
  return source;
}

function openClient(client: Client): Open {
  let open = clients.get(client);
  if (open === undefined) {
    open = { kind: "open", client, documents: new SharedSources(), mirrors: new SharedSources() };
    clients.set(client, open);
  }
  return open;
}

function promisedSource(promise: Promise<Client>): OpeningSource {
  let opening = OPENING;
  const listeners = new Set<() => void>();
  const become = (next: Opening): void => {
    opening = next;
    for (const listener of [...listeners]) listener();
  };
  promise.then(
    (client) => become(openClient(client)),
    (error: unknown) => become({ kind: "failed", error }),
  );
  return {
    state: () => opening,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
