/** A client's store that is elsewhere: every call is handed on. */
import type { ClientWrite } from "@openclaw/core/client/store.ts";
import type { LinkId, Seq } from "@openclaw/core/ids.ts";
import type { DeviceStore } from "../storage/device-store.ts";
import type { StoreMethod } from "./worker-message.ts";

export type CallStore = <Method extends StoreMethod>(
  method: Method,
  args: Parameters<DeviceStore[Method]>,
) => ReturnType<DeviceStore[Method]>;

export class PortStore implements DeviceStore {
  readonly #call: CallStore;

  constructor(call: CallStore) {
    this.#call = call;
  }

  write(write: ClientWrite): ReturnType<DeviceStore["write"]> {
    return this.#call("write", [write]);
  }
  identity(): ReturnType<DeviceStore["identity"]> {
    return this.#call("identity", []);
  }
  outboxLinks(): ReturnType<DeviceStore["outboxLinks"]> {
    return this.#call("outboxLinks", []);
  }
  outbox(link: LinkId, from: Seq, limit: number): ReturnType<DeviceStore["outbox"]> {
    return this.#call("outbox", [link, from, limit]);
  }
  nextSeq(link: LinkId): ReturnType<DeviceStore["nextSeq"]> {
    return this.#call("nextSeq", [link]);
  }
  awaiting(): ReturnType<DeviceStore["awaiting"]> {
    return this.#call("awaiting", []);
  }
  failed(): ReturnType<DeviceStore["failed"]> {
    return this.#call("failed", []);
  }
  quarantined(): ReturnType<DeviceStore["quarantined"]> {
    return this.#call("quarantined", []);
  }
  document(collection: string, document: string): ReturnType<DeviceStore["document"]> {
    return this.#call("document", [collection, document]);
  }
  documents(collection: string): ReturnType<DeviceStore["documents"]> {
    return this.#call("documents", [collection]);
  }
  collections(): ReturnType<DeviceStore["collections"]> {
    return this.#call("collections", []);
  }
  mirror(...range: Parameters<DeviceStore["mirror"]>): ReturnType<DeviceStore["mirror"]> {
    return this.#call("mirror", range);
  }
  mirrored(): ReturnType<DeviceStore["mirrored"]> {
    return this.#call("mirrored", []);
  }
  down(): ReturnType<DeviceStore["down"]> {
    return this.#call("down", []);
  }
  close(): ReturnType<DeviceStore["close"]> {
    return this.#call("close", []);
  }
}
