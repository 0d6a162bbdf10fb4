/** A client's store that is elsewhere: every call is handed on. */
import type { ClientStore, ClientWrite } from "@openclaw/core/client/store.ts";
import type { LinkId, Seq } from "@openclaw/core/ids.ts";
import type { StoreMethod } from "./worker-message.ts";

export type CallStore = <Method extends StoreMethod>(
  method: Method,
  args: Parameters<ClientStore[Method]>,
) => ReturnType<ClientStore[Method]>;

export class PortStore implements ClientStore {
  readonly #call: CallStore;

  constructor(call: CallStore) {
    this.#call = call;
  }

  write(write: ClientWrite): ReturnType<ClientStore["write"]> {
    return this.#call("write", [write]);
  }
  outboxLinks(): ReturnType<ClientStore["outboxLinks"]> {
    return this.#call("outboxLinks", []);
  }
  outbox(link: LinkId, from: Seq, limit: number): ReturnType<ClientStore["outbox"]> {
    return this.#call("outbox", [link, from, limit]);
  }
  nextSeq(link: LinkId): ReturnType<ClientStore["nextSeq"]> {
    return this.#call("nextSeq", [link]);
  }
  awaiting(): ReturnType<ClientStore["awaiting"]> {
    return this.#call("awaiting", []);
  }
  failed(): ReturnType<ClientStore["failed"]> {
    return this.#call("failed", []);
  }
  quarantined(): ReturnType<ClientStore["quarantined"]> {
    return this.#call("quarantined", []);
  }
  document(collection: string, document: string): ReturnType<ClientStore["document"]> {
    return this.#call("document", [collection, document]);
  }
  documents(collection: string): ReturnType<ClientStore["documents"]> {
    return this.#call("documents", [collection]);
  }
  mirror(...range: Parameters<ClientStore["mirror"]>): ReturnType<ClientStore["mirror"]> {
    return this.#call("mirror", range);
  }
  mirrored(): ReturnType<ClientStore["mirrored"]> {
    return this.#call("mirrored", []);
  }
  down(): ReturnType<ClientStore["down"]> {
    return this.#call("down", []);
  }
  close(): ReturnType<ClientStore["close"]> {
    return this.#call("close", []);
  }
}
