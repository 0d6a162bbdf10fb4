/**
 * A row of one member's state is not what was applied (C1). While the cluster works and nothing else is broken, states are
 * compared: that member, and no other but one that was sent a copy of its state, is found, serves nothing, takes its state
 * from a peer, and is as the others again.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Random } from "@openclaw/core/ports.ts";
import { verdictOf } from "@openclaw/core/state-machine/finding.ts";
import type { FaultCounts } from "./faults.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import { RELIABLE } from "./memory-network.ts";
import { quiet } from "./old-disk.ts";
import { ROTTEN_ROW } from "./rotten-row.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { VirtualClock } from "./virtual-clock.ts";

const LOOK_MS = 20;
/** Rounds, a snapshot, applies; and a round that cannot tell is begun anew a minute after one that could not either. */
export const MENDED_MS = 90_000;
const ROUND_MS = 20_000;

export class RottenState {
  readonly #site: SimulatedCluster;
  readonly #member: MemoryMember;
  readonly #clock: VirtualClock;

  /** Does nothing unless the cluster is quiet, and has a majority besides this member; nor if a snapshot would move the row. */
  static begin(
    site: SimulatedCluster,
    member: MemoryMember,
    host: { readonly clock: VirtualClock; readonly faults: FaultCounts },
    random: Random,
  ): void {
    if (!quiet(site, member) || site.group.length < 3 || awaitsSnapshot(site, member)) return;
    host.faults.count("rot of a state's row");
    new RottenState(site, member, host.clock).#run(random);
  }

  private constructor(site: SimulatedCluster, member: MemoryMember, clock: VirtualClock) {
    this.#site = site;
    this.#member = member;
    this.#clock = clock;
  }

  #run(random: Random): void {
    const { cluster } = this.#site;
    const { unreliability } = cluster.network;
    cluster.network.unreliability = RELIABLE;
    this.#site.calm = true;
    // Whoever falls behind the log needs a snapshot, too.
    this.#site.easeDisks();
    this.#site.tell(this.#member, "has a state with a row that nobody wrote");
    this.#member.state.view.write([{ key: ROTTEN_ROW, value: random.bytes(8) }]);
    let found = false;
    const unfollow = this.#site.members.map((it) =>
      it.replica.onAgreement(({ kind }) => {
        if (kind === "sound") return;
        if (it === this.#member) {
          found = true;
          this.#refuses();
        } else if (kind !== "diverged" || !hasRow(it))
          this.#site.violation(`${it.id} is said to be ${kind}, and ${this.#member.id} is`);
      }),
    );
    this.#compare();
    const until = this.#clock.now() + MENDED_MS;
    const end = (): void => {
      for (const stop of unfollow) stop();
      this.#site.calm = false;
      cluster.network.unreliability = unreliability;
    };
    const look = (): void => {
      if (found && this.#mended()) return end();
      if (this.#clock.now() < until) return void this.#clock.after(LOOK_MS, look);
      const { agreement, comparison } = this.#member.replica.status();
      this.#site.violation(
        `${this.#member.id} is not ${found ? "mended" : "found"}: ${JSON.stringify({ agreement, comparison })}`,
      );
      end();
    };
    this.#clock.after(LOOK_MS, look);
  }

  #compare(): void {
    const asked = this.#site.cluster.leading()?.replica.compareStates(ROUND_MS);
    // Whoever asked may be the one that is found: the round goes on.
    asked?.catch((error: unknown) => {
      if (!(error instanceof OpenClawError)) throw error;
    });
  }

  #refuses(): void {
    const { replica, id } = this.#member;
    try {
      void replica.read({ kind: "position" });
      this.#site.violation(`${id} answers from a state that it knows to be wrong`);
    } catch (error) {
      if (!(error instanceof OpenClawError && error.code === "DIVERGED")) throw error;
    }
  }

  #mended(): boolean {
    const { agreement, comparison } = this.#member.replica.status();
    const { reports } = comparison;
    const verdict = verdictOf(comparison);
    // Who took another snapshot meanwhile could not hash its rows as of the round, and nobody differs: none is begun anew (C1).
    const known =
      verdict.kind === "agreed" &&
      verdict.diverged.length === 0 &&
      reports.every(({ finding }) => finding.kind !== "rebuilt");
    if (agreement.kind !== "sound" || !known || reports.length < this.#site.group.length) return false;
    const still = this.#site.group.filter(hasRow);
    // Whoever was sent a copy of the wrong state before it was found is told a round later.
    if (still.some((it) => it.replica.status().agreement.kind !== "sound")) return false;
    for (const { id } of still) this.#site.violation(`${id} has the row still`);
    return true;
  }
}

const hasRow = ({ state }: MemoryMember): boolean => state.view.get(ROTTEN_ROW) !== undefined;

/** A copy of this member's state would make another one wrong alike (C1), or another state takes the place of its own. */
function awaitsSnapshot(site: SimulatedCluster, member: MemoryMember): boolean {
  const leader = site.cluster.leading();
  if (leader === undefined) return false;
  const { progress, firstIndex } = leader.replica.status().raft;
  return progress.some(({ id, match }) => match + 1 < firstIndex && (leader === member || id === member.id));
}
