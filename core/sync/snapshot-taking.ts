/** Takes the steps of a parent's snapshot into this cluster, one after the other, each wholly before the next (S4). */
import { OpenClawError } from "../errors.ts";
import type { ClusterId, Epoch, LinkId } from "../ids.ts";
import type { SnapshotStep } from "../ledger/snapshot.ts";
import type { Subscription } from "../ledger/subscription.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";

type Propose = (command: SystemCommand) => Promise<CommandResult>;

/** What is taken comes over this link, from that cluster. */
export interface Sender {
  readonly link: LinkId;
  readonly cluster: ClusterId;
}

/** @throws OpenClawError what the step is refused with */
export const takeStep = (propose: Propose, from: Sender, epoch: Epoch, step: SnapshotStep): Promise<void> =>
  wholly(propose, { kind: "importSnapshot", side: "parent", ...from, epoch, step });

/** Deletes what came over the link and is not wanted any more. @throws OpenClawError what that is refused with */
export const subscribeTo = (propose: Propose, from: Sender, subscription: Subscription): Promise<void> =>
  wholly(propose, { kind: "subscribe", ...from, subscription });

async function wholly(propose: Propose, command: SystemCommand): Promise<void> {
  for (;;) {
    const result = await propose(command);
    if (result.kind === "importRefused") throw new OpenClawError(result.code, result.details);
    if (result.kind !== "snapshotTaken" || !result.more) return;
  }
}
