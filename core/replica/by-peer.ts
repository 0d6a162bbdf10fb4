import type { NodeId } from "../ids.ts";
import type { Transport } from "../ports.ts";
import type { RaftMessage } from "../raft/message.ts";

/** Hands messages to the transport, those for one peer together and in their order. */
export function sendByPeer(transport: Transport, messages: readonly RaftMessage[]): void {
  const byPeer = new Map<NodeId, RaftMessage[]>();
  for (const message of messages) {
    const batch = byPeer.get(message.to);
    if (batch === undefined) byPeer.set(message.to, [message]);
    else batch.push(message);
  }
  for (const [to, batch] of byPeer) transport.send(to, batch);
}
