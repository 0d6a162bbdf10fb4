/**
 * What a neighbour asks of us with its own records: commands to run or to hand on, results, and what becomes of homes. What
 * it passes on from others was meant for itself, and has been seen to there.
 */
import { unreachable } from "../errors.ts";
import type { ClusterId } from "../ids.ts";
import type { LedgerEvent } from "../ledger/record.ts";
import type { Handover } from "./handover.ts";
import type { Author } from "./ledger-writer.ts";
import type { QueuedCommands, Sender } from "./queued-commands.ts";

export type NeighbourEvent = Extract<LedgerEvent, { kind: "home" | "command" | "result" }>;

interface Neighbourhood {
  /** Ours. */
  readonly cluster: ClusterId;
  readonly authorOf: (principal: string) => Author;
  readonly commands: QueuedCommands;
  readonly handover: Handover;
}

/** Whether an event of a neighbour's own record is for us, and is news. */
export function concernsUs({ cluster, commands }: Neighbourhood, sender: Sender, event: NeighbourEvent): boolean {
  switch (event.kind) {
    case "command":
      return event.via === us(sender, cluster);
    case "result":
      return event.to === us(sender, cluster) && commands.settle(sender, event);
    case "home":
      return (event.step.kind === "release") === (sender.side === "child");
    default:
      return unreachable(event);
  }
}

/** Does what it asks, behind its record. @param principal whose record it is */
export function carryOutForNeighbour(
  { authorOf, commands, handover }: Neighbourhood,
  sender: Sender,
  principal: string,
  event: NeighbourEvent,
): void {
  switch (event.kind) {
    case "command":
      return commands.take(authorOf(principal), sender, event);
    case "result":
      return; // settled: only whether it was news could tell if it concerned us
    case "home":
      return sender.side === "parent"
        ? handover.fromParent(authorOf, sender, event)
        : handover.fromChild(authorOf, sender, event);
    default:
      return unreachable(event);
  }
}

/** How a neighbour addresses us: a child says "the parent", without a name. */
const us = (sender: Sender, cluster: ClusterId): ClusterId | null => (sender.side === "child" ? null : cluster);
