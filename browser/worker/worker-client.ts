/**
 * The page's end of its worker, which keeps the device's store and the streams to the site. When the worker dies another
 * one takes its place: calls that wait are made again, as each may be made twice, and streams end as when a gateway dies.
 */
import type { Finding, InspectedRecord, Inspection } from "@openclaw/core/client/inspection.ts";
import type { DownCursor } from "@openclaw/core/client/store.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import type { ChildConnection, ChildMessage, ParentMessage } from "@openclaw/core/sync/message.ts";
import type { GatewayState } from "@openclaw/core/sync/rotation.ts";
import type { Gateway } from "../connection/gateways.ts";
import type { DeviceStore } from "../storage/device-store.ts";
import { errorData, errorOf } from "./error-data.ts";
import { type CallStore, PortStore } from "./port-store.ts";
import { RelayEnd } from "./relay.ts";
import type { PageMessage, StoreCall, Suspect, WorkerMessage } from "./worker-message.ts";

export interface WorkerHandle {
  post(message: Exclude<PageMessage, { kind: "start" }>): void;
  /** Ends it as it stands; its owner hears nothing more. */
  end(): void;
}

export interface WorkerOwner {
  message(message: WorkerMessage): void;
  /** Called once; the worker is gone. */
  died(why: string): void;
}

/** Starts a worker with what its first message says. */
export type StartWorker = (gateways: readonly Gateway[], owner: WorkerOwner) => WorkerHandle;

/** Calls that wait; one more is refused OVERLOADED. */
const CALLS_MAX = 4_096;
/** So many workers may die within that time, ms; then storage has failed. */
const DEATHS_MAX = 3;
const DEATHS_MS = 60_000;

interface Waiting {
  readonly message: Extract<PageMessage, { kind: "call" | "inspect" | "stop" }>;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: OpenClawError) => void;
}

export class WorkerClient {
  readonly store: DeviceStore;
  readonly inspection: Inspection;
  readonly #begin: StartWorker;
  readonly #clock: Clock;
  #gateways: readonly Gateway[];
  #worker: WorkerHandle | null = null;
  /** Why there is no worker any more, and will be none. */
  #failure: OpenClawError | null = null;
  #deaths: number[] = [];
  #nextId = 1;
  /** In the order in which they were made. */
  readonly #calls = new Map<number, Waiting>();
  readonly #connecting = new Map<number, (error: OpenClawError | null) => void>();
  readonly #relays = new Map<number, RelayEnd<ChildMessage, ParentMessage>>();
  #states: readonly GatewayState[] = [];
  /** The place in the site's stream that this session last stored; undefined before the first. */
  #place: DownCursor | undefined;
  /** A new worker is asked whether its store is at that place: until then calls wait here. */
  #isChecking = false;

  constructor(gateways: readonly Gateway[], begin: StartWorker, clock: Clock) {
    this.#gateways = gateways;
    this.#begin = begin;
    this.#clock = clock;
    // The call map of `StoreCall` pairs each method with its answer, and both ends are compiled against it.
    this.store = new PortStore(((method, args) => this.#call({ method, args } as StoreCall)) as CallStore);
    this.inspection = {
      records: async (records) => (await this.#inspect({ kind: "records", records })) as readonly InspectedRecord[],
      changes: async (changes) => (await this.#inspect({ kind: "changes", changes })) as readonly Finding[],
    };
    this.#start();
  }

  /** What is known of each gateway, as of the last try to connect. */
  states(): readonly GatewayState[] {
    return this.#states;
  }

  /** One try. @throws OpenClawError UNAVAILABLE, … */
  connect(ended: OpenClawError | null): Promise<ChildConnection> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const end = new RelayEnd<ChildMessage, ParentMessage>(
      (message) => this.#worker?.post({ kind: "relay", id, message }),
      () => this.#relays.delete(id),
    );
    return new Promise((resolve, reject) => {
      this.#connecting.set(id, (error) => {
        this.#connecting.delete(id);
        if (error !== null) return reject(error);
        this.#relays.set(id, end);
        resolve(end);
      });
      this.#worker?.post({ kind: "connect", id, ended: ended === null ? null : errorData(ended) });
    });
  }

  setGateways(gateways: readonly Gateway[]): void {
    this.#gateways = gateways;
    this.#worker?.post({ kind: "gateways", gateways });
  }

  /** Ends every stream at once: the device is offline. */
  drop(): void {
    this.#worker?.post({ kind: "drop" });
  }

  freeze(): void {
    this.#worker?.post({ kind: "freeze" });
  }

  resume(): void {
    this.#worker?.post({ kind: "resume" });
  }

  /** Lets go of everything. The store is closed by then. */
  async stop(): Promise<void> {
    if (this.#failure !== null) return;
    const id = this.#nextId++;
    try {
      await this.#wait({ kind: "stop", id });
    } finally {
      // A worker that could not let go of something lets go of it as it ends.
      this.#fail(new OpenClawError("STOPPED", "the client is stopped"));
    }
  }

  async #call(call: StoreCall): Promise<unknown> {
    const answer = await this.#wait({ kind: "call", id: this.#nextId++, call });
    if (call.method === "write" && call.args[0].down !== undefined) this.#place = call.args[0].down;
    return answer;
  }

  /** A worker that dies of it is given it again, and then counts as one that always dies. */
  #inspect(suspect: Suspect): Promise<unknown> {
    return this.#wait({ kind: "inspect", id: this.#nextId++, suspect });
  }

  #wait(message: Waiting["message"]): Promise<unknown> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#calls.size >= CALLS_MAX)
      return Promise.reject(new OpenClawError("OVERLOADED", "this device's storage is behind"));
    return new Promise((resolve, reject) => {
      this.#calls.set(message.id, { message, resolve, reject });
      if (!this.#isChecking) this.#worker?.post(message);
    });
  }

  #start(): void {
    const worker: WorkerHandle = this.#begin(this.#gateways, {
      message: (message) => {
        if (this.#worker === worker) this.#take(message);
      },
      died: (why) => {
        if (this.#worker === worker) this.#died(why);
      },
    });
    this.#worker = worker;
  }

  #take(message: WorkerMessage): void {
    switch (message.kind) {
      case "ready":
        return;
      case "answer":
        return this.#waiting(message.id).resolve(message.answer);
      case "failed": {
        const error = errorOf(message.error);
        const connecting = this.#connecting.get(message.id);
        return connecting === undefined ? this.#waiting(message.id).reject(error) : connecting(error);
      }
      case "connected":
        return this.#connecting.get(message.id)?.(null);
      case "relay":
        // One that has ended here may still be spoken to.
        return this.#relays.get(message.id)?.take(message.message);
      case "gateways":
        this.#states = message.states;
        return;
    }
  }

  #waiting(id: number): Waiting {
    const waiting = this.#calls.get(id);
    invariant(waiting !== undefined, `an answer to call ${id}, which nobody made`);
    this.#calls.delete(id);
    return waiting;
  }

  #died(why: string): void {
    this.#worker = null;
    const now = this.#clock.now();
    this.#deaths = [...this.#deaths.filter((at) => now - at < DEATHS_MS), now];
    if (this.#deaths.length > DEATHS_MAX) return this.#fail(lost(why));
    this.#start();
    this.#endStreams(new OpenClawError("UNAVAILABLE", `this page's worker died: ${why}`));
    void this.#resumeCalls(why);
  }

  /** Whatever the old worker was asked is asked again, if storage is where this session left it. */
  async #resumeCalls(why: string): Promise<void> {
    const place = this.#place;
    if (place !== undefined) {
      const worker = this.#worker;
      this.#isChecking = true;
      const stored = await this.#ask();
      // That one died, too.
      if (this.#worker !== worker) return;
      this.#isChecking = false;
      // Of two tabs one keeps the mirror on the device (L4), the other lost the one that it had in its worker.
      if (!this.#places(place).some((known) => isSamePlace(stored, known)))
        return this.#fail(lost(`${why}, and with it this page's mirror`));
    }
    for (const { message } of this.#calls.values()) this.#worker?.post(message);
  }

  /** Where the store may be: a write that was not answered may be done. */
  #places(last: DownCursor): readonly DownCursor[] {
    const unanswered = [...this.#calls.values()].flatMap(({ message }) =>
      message.kind === "call" && message.call.method === "write" ? (message.call.args[0].down ?? []) : [],
    );
    return [last, ...unanswered];
  }

  /** The place that the new worker's store is at; null also where it cannot be read. */
  #ask(): Promise<DownCursor | null> {
    const call: StoreCall = { method: "down", args: [] };
    const message = { kind: "call", id: this.#nextId++, call } as const;
    return new Promise((resolve) => {
      // Made again if this one dies, too: then nobody waits for it.
      this.#calls.set(message.id, {
        message,
        resolve: (answer) => resolve(answer as DownCursor | null),
        reject: () => resolve(null),
      });
      this.#worker?.post(message);
    });
  }

  #fail(error: OpenClawError): void {
    this.#failure = error;
    this.#worker?.end();
    this.#worker = null;
    this.#endStreams(error);
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }

  #endStreams(error: OpenClawError): void {
    for (const relay of [...this.#relays.values()]) relay.end(error);
    for (const told of [...this.#connecting.values()]) told(error);
  }
}

const lost = (why: string): OpenClawError =>
  new OpenClawError("CLIENT_STORAGE_FAILED", `this page's worker died: ${why}; reload the page`);

/** Of another tab, which brings something else, it is not the same. What is compared was written here, or is a copy of it. */
const isSamePlace = (one: DownCursor | null, other: DownCursor): boolean =>
  one !== null && placeText(one) === placeText(other);

const placeText = ({ cluster, epoch, cursor, subscription, snapshot }: DownCursor): string =>
  JSON.stringify([cluster, epoch, cursor, subscription, snapshot]);
