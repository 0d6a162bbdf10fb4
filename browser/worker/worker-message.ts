/**
 * What crosses between a page and its worker, one union a direction. Both ends are of one build: what is not of it is a bug
 * of ours, and ends the worker.
 */
import { InvariantViolation } from "@openclaw/core/errors.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import type { ChildMessage, ParentMessage } from "@openclaw/core/sync/message.ts";
import type { GatewayState } from "@openclaw/core/sync/rotation.ts";
import type { Gateway } from "../connection/gateways.ts";
import type { DeviceStore } from "../storage/device-store.ts";
import type { ErrorData } from "./error-data.ts";
import type { RelayMessage } from "./relay.ts";

export type StoreMethod = keyof DeviceStore;

export type StoreCall = {
  readonly [Method in StoreMethod]: {
    readonly method: Method;
    readonly args: Parameters<DeviceStore[Method]>;
  };
}[StoreMethod];

/** What came from a site, to be read and checked. */
export type Suspect =
  | { readonly kind: "records"; readonly records: readonly Uint8Array[] }
  | { readonly kind: "changes"; readonly changes: readonly DocumentChange[] };

export type PageMessage =
  /** The first one. `tab`: drawn for this worker; it holds the lock of that name while it lives. `name`: of the database. */
  | {
      readonly kind: "start";
      readonly tab: string;
      readonly name: string;
      readonly gateways: readonly Gateway[];
    }
  | { readonly kind: "call"; readonly id: number; readonly call: StoreCall }
  | { readonly kind: "inspect"; readonly id: number; readonly suspect: Suspect }
  /** One try at a stream to the site; `ended`: why the one before ended. */
  | { readonly kind: "connect"; readonly id: number; readonly ended: ErrorData | null }
  /** Of the connection that was asked for under that number. */
  | { readonly kind: "relay"; readonly id: number; readonly message: RelayMessage<ChildMessage> }
  | { readonly kind: "gateways"; readonly gateways: readonly Gateway[] }
  /** The device is offline: every stream ends at once. */
  | { readonly kind: "drop" }
  /** The page is about to be frozen, and its worker with it. */
  | { readonly kind: "freeze" }
  | { readonly kind: "resume" }
  /** The page needs it no more: answered when it has let go of everything. */
  | { readonly kind: "stop"; readonly id: number };

export type WorkerMessage =
  /** It holds its lock. */
  | { readonly kind: "ready" }
  /** Of a call, an inspection, or a stop. */
  | { readonly kind: "answer"; readonly id: number; readonly answer: unknown }
  /** Of a call, an inspection, or a connect. */
  | { readonly kind: "failed"; readonly id: number; readonly error: ErrorData }
  | { readonly kind: "connected"; readonly id: number }
  | { readonly kind: "relay"; readonly id: number; readonly message: RelayMessage<ParentMessage> }
  | { readonly kind: "gateways"; readonly states: readonly GatewayState[] };

const PAGE_KINDS: ReadonlySet<string> = new Set<PageMessage["kind"]>([
  "start",
  "call",
  "inspect",
  "connect",
  "relay",
  "gateways",
  "drop",
  "freeze",
  "resume",
  "stop",
]);
const WORKER_KINDS: ReadonlySet<string> = new Set<WorkerMessage["kind"]>([
  "ready",
  "answer",
  "failed",
  "connected",
  "relay",
  "gateways",
]);

/** @throws InvariantViolation */
export function pageMessage(data: unknown): PageMessage {
  if (!isOf<PageMessage>(data, PAGE_KINDS)) throw new InvariantViolation("a message that no page of ours sends");
  return data;
}

/** @throws InvariantViolation */
export function workerMessage(data: unknown): WorkerMessage {
  if (!isOf<WorkerMessage>(data, WORKER_KINDS)) throw new InvariantViolation("a message that no worker of ours sends");
  return data;
}

const isOf = <Message extends { readonly kind: string }>(data: unknown, kinds: ReadonlySet<string>): data is Message =>
  typeof data === "object" &&
  data !== null &&
  "kind" in data &&
  typeof data.kind === "string" &&
  kinds.has(data.kind) &&
  (!("id" in data) || Number.isSafeInteger(data.id));

/** Below it a copy costs no more than handing over, bytes. */
const HANDED_OVER_MIN = 4_096;

/** The buffers of what a gateway sent, or a page: each frame and message has one of its own, which nobody else holds. */
export function buffersOf(value: unknown, found: Set<ArrayBuffer> = new Set()): Set<ArrayBuffer> {
  if (value instanceof Uint8Array) {
    if (value.buffer instanceof ArrayBuffer && value.buffer.byteLength >= HANDED_OVER_MIN) found.add(value.buffer);
  } else if (Array.isArray(value)) for (const item of value) buffersOf(item, found);
  else if (typeof value === "object" && value !== null) for (const item of Object.values(value)) buffersOf(item, found);
  return found;
}
