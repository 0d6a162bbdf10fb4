/** Gives Raft what waits for it: reads to confirm, and commands, which a leader proposes and a follower forwards. */
import type { Raft } from "../raft/raft.ts";
import { encodeCommands } from "../state-machine/command-codec.ts";
import type { Barriers } from "./barriers.ts";
import { Forwarded } from "./forwarded.ts";
import type { LogWrites } from "./log-writes.ts";
import type { Proposals } from "./proposals.ts";

export class Offers {
  readonly #proposals: Proposals;
  readonly #barriers: Barriers;
  readonly #writes: LogWrites;
  readonly #forwarded = new Forwarded();

  constructor(proposals: Proposals, barriers: Barriers, writes: LogWrites) {
    this.#proposals = proposals;
    this.#barriers = barriers;
    this.#writes = writes;
  }

  /** Batches of followers. */
  forwarded(batches: readonly Uint8Array[]): void {
    this.#forwarded.push(batches);
  }

  offer(raft: Raft): void {
    const context = this.#barriers.ask();
    if (context !== null) raft.readIndex(context);
    if (raft.role === "leader") this.#propose(raft);
    else this.#forward(raft);
  }

  #propose(raft: Raft): void {
    // R3: a batch is what waits while the previous write is in flight.
    if (this.#writes.inFlight || raft.transferring) return;
    for (const data of this.#forwarded.take()) if (!raft.propose(data).ok) break;
    if (!this.#proposals.queued) return;
    const batch = this.#proposals.take();
    // A refusal (OVERLOADED, or the leadership just lost) leaves the batch to the retry of its proposals.
    if (batch.length > 0) raft.propose(encodeCommands(batch));
  }

  #forward(raft: Raft): void {
    this.#forwarded.take();
    if (raft.leader === null) return;
    while (this.#proposals.queued) {
      const batch = this.#proposals.take();
      if (batch.length > 0) raft.forward(encodeCommands(batch));
    }
  }
}
