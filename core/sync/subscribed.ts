/** What a cluster is subscribed to at its parent, and what of it is here (S4). */
import { startsWith } from "../bytes.ts";
import type { ClusterId } from "../ids.ts";
import type { StreamState } from "../ledger/snapshot.ts";
import type { Subscription } from "../ledger/subscription.ts";
import { SUBSCRIPTION_ITEMS_MAX } from "../limits.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";
import { isSubscribed } from "../state-machine/subscribe.ts";
import type { ParentBackend } from "./backend.ts";
import { type Sender, subscribeTo } from "./snapshot-taking.ts";

type Reader = Pick<ParentBackend, "read">;

/**
 * What the stream is of, once nothing that is not wanted is left of it.
 * @param begun something came over the link
 * @throws OpenClawError what the proposal is refused with
 */
export async function subscribed(
  replica: Reader,
  from: Sender,
  configured: Subscription,
  begun: boolean,
  propose: (command: SystemCommand) => Promise<CommandResult>,
): Promise<{ readonly subscription: Subscription } & StreamState> {
  const subscription = await withHomes(replica, from.cluster, configured);
  const { link } = from;
  const stream = await replica.read({ kind: "stream", link });
  if (isSubscribed(stream, subscription, begun)) return { subscription, ...stream };
  await subscribeTo(propose, from, subscription);
  return { subscription, ...(await replica.read({ kind: "stream", link })) };
}

/** The prefixes whose home the parent is come by themselves (Q3); a snapshot of them has to be asked for. */
async function withHomes(replica: Reader, parent: ClusterId, subscription: Subscription): Promise<Subscription> {
  const { homes } = await replica.read({ kind: "homes" });
  const prefixes = [...subscription.prefixes];
  for (const { prefix, owner } of homes) {
    const known = prefixes.some((wide) => startsWith(prefix, wide));
    if (owner === parent && !known && prefixes.length < SUBSCRIPTION_ITEMS_MAX) prefixes.push(prefix);
  }
  return { ...subscription, prefixes };
}
