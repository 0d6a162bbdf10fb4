/** Takes what a parent streams into this cluster, runs and steps of a snapshot, each wholly before the next (S4). */
import { OpenClawError } from "../errors.ts";
import type { ClusterId, Epoch, LinkId } from "../ids.ts";
import type { SnapshotHead, SnapshotStep } from "../ledger/snapshot.ts";
import type { Subscription } from "../ledger/subscription.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";

type ImportLedger = Extract<SystemCommand, { kind: "importLedger" }>;
type Propose = (command: SystemCommand) => Promise<CommandResult>;

/** What is taken comes over this link, from that cluster. */
export interface Sender {
  readonly link: LinkId;
  readonly cluster: ClusterId;
}

/** What one command does not do in one go. @throws OpenClawError what it is refused with */
export const takeRun = (propose: Propose, run: Omit<ImportLedger, "kind" | "side" | "after">): Promise<void> =>
  // A connection begins where both ends agree (L3), and its runs follow each other.
  wholly(propose, { kind: "importLedger", side: "parent", ...run, after: null });

/** @throws OpenClawError what the step is refused with */
export async function takeStep(propose: Propose, from: Sender, epoch: Epoch, step: SnapshotStep): Promise<void> {
  // Only a client asks for them; a member that is a version behind could not read the command.
  if (step.kind === "begin" && namesDocuments(step.head))
    throw new OpenClawError("MALFORMED_FRAME", "single documents, to a cluster");
  await wholly(propose, { kind: "importSnapshot", side: "parent", ...from, epoch, step });
}

const namesDocuments = ({ subscription, kept }: SnapshotHead): boolean =>
  subscription?.documents !== undefined || kept?.documents !== undefined;

/** Deletes what came over the link and is not wanted any more. @throws OpenClawError what that is refused with */
export const subscribeTo = (propose: Propose, from: Sender, subscription: Subscription): Promise<void> =>
  wholly(propose, { kind: "subscribe", ...from, subscription });

async function wholly(propose: Propose, command: SystemCommand): Promise<void> {
  for (;;) {
    const result = await propose(command);
    if (result.kind === "importRefused") throw new OpenClawError(result.code, result.details);
    const isDone = result.kind === "snapshotTaken" ? !result.more : result.kind !== "unfinished";
    if (isDone) return;
  }
}
