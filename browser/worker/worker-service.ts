/** The worker's end of what crosses between a page and its worker: the device's store, and streams to the site. */
import { type OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import type { ChildMessage, FrameConnection, ParentMessage } from "@openclaw/core/sync/message.ts";
import type { GatewayState } from "@openclaw/core/sync/rotation.ts";
import { besideLoader } from "../beside.ts";
import type { Gateway } from "../connection/gateways.ts";
import type { DeviceStore } from "../storage/device-store.ts";
import { errorData, errorOf } from "./error-data.ts";
import type { RelayEnd, RelayMessage } from "./relay.ts";
import { buffersOf, type PageMessage, type StoreCall, type Suspect, type WorkerMessage } from "./worker-message.ts";

/** How this tab gets its streams: over its own connection, or over that of the tab that leads. */
export interface TabSite {
  /** One try. @throws OpenClawError UNAVAILABLE, … */
  connect(ended: OpenClawError | null): Promise<FrameConnection<Uint8Array, Uint8Array>>;
  setGateways(gateways: readonly Gateway[]): void;
  states(): readonly GatewayState[];
  drop(): void;
  freeze(): void;
  resume(): void;
}

export type PostToPage = (message: WorkerMessage, transfer: readonly ArrayBuffer[]) => void;

export class WorkerService {
  readonly #store: Promise<DeviceStore>;
  readonly #site: TabSite;
  readonly #post: PostToPage;
  readonly #stop: () => Promise<void>;
  readonly #relays = new Map<number, RelayEnd<ParentMessage, ChildMessage>>();

  /**
   * @param store calls wait for it, in order
   * @param stop lets go of everything but the store
   */
  constructor(store: Promise<DeviceStore>, site: TabSite, post: PostToPage, stop: () => Promise<void>) {
    this.#store = store;
    this.#site = site;
    this.#post = post;
    this.#stop = stop;
    // Each call is told.
    store.catch(() => undefined);
  }

  /** @param message any but the first */
  take(message: Exclude<PageMessage, { kind: "start" }>): void {
    switch (message.kind) {
      case "call":
        return this.#answer(
          message.id,
          this.#store.then((store) => run(store, message.call)),
        );
      case "inspect":
        return this.#answer(message.id, inspect(message.suspect), buffersOf);
      case "connect":
        return void this.#connect(message.id, message.ended === null ? null : errorOf(message.ended));
      case "relay":
        // One that has ended here may still be spoken to.
        return this.#relays.get(message.id)?.take(message.message);
      case "gateways":
        return this.#site.setGateways(message.gateways);
      case "drop":
        return this.#site.drop();
      case "freeze":
        return this.#site.freeze();
      case "resume":
        return this.#site.resume();
      case "stop":
        return this.#answer(message.id, this.#stop());
      default:
        return unreachable(message);
    }
  }

  /** @param handedOver what of the answer is the page's from then on */
  #answer(
    id: number,
    answer: Promise<unknown>,
    handedOver: (value: unknown) => Iterable<ArrayBuffer> = () => [],
  ): void {
    answer.then(
      (value) => this.#post({ kind: "answer", id, answer: value }, [...handedOver(value)]),
      (error: unknown) => this.#post({ kind: "failed", id, error: errorData(error) }, []),
    );
  }

  async #connect(id: number, ended: OpenClawError | null): Promise<void> {
    let frames: FrameConnection<Uint8Array, Uint8Array>;
    let code: ConnectionCode;
    try {
      code = await loadConnection();
      frames = await this.#site.connect(ended);
    } catch (error) {
      this.#post({ kind: "failed", id, error: errorData(error) }, []);
      return;
    } finally {
      this.#post({ kind: "gateways", states: this.#site.states() }, []);
    }
    const end = new code.RelayEnd<ParentMessage, ChildMessage>(
      (message) => this.#post({ kind: "relay", id, message }, handedOver(message)),
      () => this.#relays.delete(id),
    );
    this.#relays.set(id, end);
    this.#post({ kind: "connected", id }, []);
    code.join(end, code.childConnection(frames));
  }
}

type ConnectionCode = typeof import("./worker-connection.ts");

/** Asked for again at the next try. */
const loadConnection = besideLoader("the code for a connection", () => import("./worker-connection.ts"));

/** Nobody waits for it before the site has sent something. */
const loadInspection = besideLoader("the code that checks changes", () => import("./plain-inspection.ts"));

/** @throws OpenClawError UNAVAILABLE, MALFORMED_FRAME */
async function inspect(suspect: Suspect): Promise<unknown> {
  const { inspection } = await loadInspection();
  return suspect.kind === "records" ? inspection.records(suspect.records) : inspection.changes(suspect.changes);
}

const handedOver = (message: RelayMessage<ParentMessage>): readonly ArrayBuffer[] =>
  message.kind === "frame" ? [...buffersOf(message.frame)] : [];

function run(store: DeviceStore, call: StoreCall): Promise<unknown> {
  switch (call.method) {
    case "write":
      return store.write(...call.args);
    case "identity":
      return store.identity();
    case "outboxLinks":
      return store.outboxLinks();
    case "outbox":
      return store.outbox(...call.args);
    case "nextSeq":
      return store.nextSeq(...call.args);
    case "awaiting":
      return store.awaiting();
    case "failed":
      return store.failed();
    case "quarantined":
      return store.quarantined();
    case "document":
      return store.document(...call.args);
    case "documents":
      return store.documents(...call.args);
    case "collections":
      return store.collections();
    case "mirror":
      return store.mirror(...call.args);
    case "mirrored":
      return store.mirrored();
    case "down":
      return store.down();
    case "close":
      return store.close();
    default:
      return unreachable(call);
  }
}
