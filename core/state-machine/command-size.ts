/** How large a command is, for the limits of queues and batches. */
import { unreachable } from "../errors.ts";
import type { DocumentPart, SnapshotStep } from "../ledger/snapshot.ts";
import type { Subscription } from "../ledger/subscription.ts";
import { TXN_RESPONSE_BYTES_MAX } from "../limits.ts";
import type { IdempotentCommand, ImportedCommand, SystemCommand, UserCommand } from "./command.ts";
import { type Compare, type KeySelector, type Operation, responseBytes, type Txn } from "./operation.ts";

/** At most this many bytes a UTF-16 unit, and its length. */
export const textBytes = (text: string): number => 3 * text.length + 5;
const addText = (sum: number, text: string): number => sum + textBytes(text);
/** What surrounds the bytes of a command, a change or an item: numbers, hashes, lengths. */
const OVERHEAD_BYTES = 128;

/** Never less than what the command is encoded in, but for its principal: a batch larger than it seems might not fit an entry. */
export function commandBytes(body: ImportedCommand | IdempotentCommand | SystemCommand): number {
  switch (body.kind) {
    case "put":
      return OVERHEAD_BYTES + body.key.length + body.value.length;
    case "deleteRange":
      return OVERHEAD_BYTES + selectorBytes(body.keys);
    case "txn":
      return OVERHEAD_BYTES + txnBytes(body);
    case "change":
      return documentBytes(body);
    case "setHome":
      return OVERHEAD_BYTES + body.prefix.length + body.without.reduce(addText, 0);
    case "addressed":
      return OVERHEAD_BYTES + commandBytes(body.command);
    case "idempotent":
      return OVERHEAD_BYTES + textBytes(body.idempotency.key) + 32 + commandBytes(body.command);
    case "refused":
      return OVERHEAD_BYTES + textBytes(body.details);
    case "importLedger":
      return body.items.reduce(
        (sum, item) => sum + OVERHEAD_BYTES + (item.kind === "body" ? item.record.length : 0),
        4 * OVERHEAD_BYTES,
      );
    case "succeedEpoch":
      return OVERHEAD_BYTES * (2 + body.lineage.ancestors.length);
    case "settleEpoch":
      return (body.changes ?? []).reduce(
        (sum, event) => sum + OVERHEAD_BYTES + event.key.length + (event.kind === "put" ? event.value.length : 0),
        OVERHEAD_BYTES * (2 + body.lineage.ancestors.length),
      );
    case "noteContender":
      return OVERHEAD_BYTES * (2 + body.contender.ancestors.length);
    case "importSnapshot":
      return 4 * OVERHEAD_BYTES + snapshotStepBytes(body.step);
    case "subscribe":
      return 4 * OVERHEAD_BYTES + subscriptionBytes(body.subscription);
    case "importCommands":
      return body.commands.reduce((sum, command) => sum + commandBytes(command), OVERHEAD_BYTES);
    case "noteMember":
      return OVERHEAD_BYTES + [body.node, body.place.peer, body.place.http, ...body.place.addresses].reduce(addText, 0);
    case "raiseVersion":
      return OVERHEAD_BYTES + body.members.reduce(addText, 0);
    case "compareStates":
      return OVERHEAD_BYTES + body.voters.reduce(addText, 0);
    case "reportState":
      return OVERHEAD_BYTES + textBytes(body.node);
    case "enrolSite":
      return OVERHEAD_BYTES + [body.site.cluster, body.site.clusterKey, body.site.token].reduce(addText, 0);
    case "decideSite":
      return OVERHEAD_BYTES + textBytes(body.cluster);
    case "leaseGrant":
    case "leaseKeepAlive":
    case "leaseRevoke":
    case "compact":
    case "shed":
    case "openSession":
    case "parentHolds":
    case "parentLacks":
    case "uplinkUsed":
    case "allowUplink":
    case "stamp":
      return OVERHEAD_BYTES;
  }
}

function documentBytes({ collection, document, changes }: DocumentPart): number {
  let bytes = OVERHEAD_BYTES + textBytes(collection) + textBytes(document);
  for (const change of changes) {
    bytes += OVERHEAD_BYTES + change.actor.length + 32 * change.deps.length + change.bytes.length;
  }
  return bytes;
}

function snapshotStepBytes(step: SnapshotStep): number {
  switch (step.kind) {
    case "begin": {
      const { subscription, kept, origins, homes } = step.head;
      const subscriptions = [subscription, kept].reduce(
        (sum, one) => sum + (one === null ? 1 : subscriptionBytes(one)),
        OVERHEAD_BYTES,
      );
      const named = origins.reduce((sum, { cluster, epoch }) => sum + cluster.length + epoch.length + 8, subscriptions);
      return homes.reduce((sum, { prefix, owner }) => sum + prefix.length + (owner?.length ?? 0) + 16, named);
    }
    case "piece": {
      const { from, to, rows, documents } = step.piece;
      const places = OVERHEAD_BYTES + from.length + (to?.length ?? 0);
      const keys = rows.reduce((sum, { key, value }) => sum + OVERHEAD_BYTES + key.length + value.length, places);
      return documents.reduce((sum, part) => sum + documentBytes(part), keys);
    }
    case "end":
      return OVERHEAD_BYTES;
    default:
      return unreachable(step);
  }
}

const subscriptionBytes = ({ prefixes, collections }: Subscription): number =>
  prefixes.reduce((sum, prefix) => sum + prefix.length + 5, collections.reduce(addText, OVERHEAD_BYTES));

function selectorBytes(keys: KeySelector): number {
  return keys.kind === "key" ? keys.key.length : keys.from.length + (keys.to?.length ?? 0);
}

const txnBytes = ({ compares, success, failure }: Txn): number =>
  compares.reduce((sum, compare) => sum + compareBytesOf(compare), 0) +
  [...success, ...failure].reduce((sum, operation) => sum + operationBytes(operation), 0);

const compareBytesOf = (compare: Compare): number =>
  OVERHEAD_BYTES + selectorBytes(compare.keys) + (compare.target === "value" ? compare.value.length : 0);

function operationBytes(operation: Operation): number {
  switch (operation.kind) {
    case "put":
      return OVERHEAD_BYTES + operation.key.length + (operation.value?.length ?? 0);
    case "deleteRange":
    case "range":
      return OVERHEAD_BYTES + selectorBytes(operation.keys);
    case "txn":
      return OVERHEAD_BYTES + txnBytes(operation);
    default:
      return unreachable(operation);
  }
}

/** Never less than what its response counts for where it is remembered (`responseBytes`), whatever the state holds. */
export const responseBytesMax = (command: UserCommand): number =>
  command.kind === "deleteRange" || command.kind === "txn"
    ? Math.min(TXN_RESPONSE_BYTES_MAX, operationResponseBytesMax(command))
    : 0;

function operationResponseBytesMax(operation: Operation | Extract<UserCommand, { kind: "deleteRange" }>): number {
  switch (operation.kind) {
    case "put":
      return operation.previous ? TXN_RESPONSE_BYTES_MAX : responseBytes({ kind: "put", previous: null });
    case "deleteRange":
      return "previous" in operation && operation.previous
        ? TXN_RESPONSE_BYTES_MAX
        : responseBytes({ kind: "deleteRange", deleted: 0, previous: [] });
    case "range":
      return operation.view === "count"
        ? responseBytes({ kind: "range", rows: [], more: false, count: 0 })
        : TXN_RESPONSE_BYTES_MAX;
    case "txn": {
      const branch = (operations: readonly Operation[]): number =>
        operations.reduce((sum, one) => sum + operationResponseBytesMax(one), 0);
      return (
        responseBytes({ kind: "txn", succeeded: true, responses: [] }) +
        Math.max(branch(operation.success), branch(operation.failure))
      );
    }
    default:
      return unreachable(operation);
  }
}
