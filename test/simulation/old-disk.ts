/** An old copy of a member's disk, put in when the fault model allows it (simulated-cluster.ts), and the wait until it has caught up. */
import type { FaultCounts } from "./faults.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import { RELIABLE } from "./memory-network.ts";
import type { MemoryStateStore } from "./memory-state-store.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { SimulatedLogStore } from "./simulated-log-store.ts";
import type { VirtualClock } from "./virtual-clock.ts";

const LOOK_MS = 200;
/** A member whose disk is old has caught up within this, ms: an election timeout, retries, a snapshot. */
const CAUGHT_UP_MS = 20_000;

export class OldDisk {
  readonly #site: SimulatedCluster;
  readonly #member: MemoryMember;
  readonly #log: SimulatedLogStore;
  readonly #state: MemoryStateStore;

  constructor(site: SimulatedCluster, member: MemoryMember) {
    this.#site = site;
    this.#member = member;
    this.#log = member.log.copy();
    this.#state = member.state.crash();
  }

  putInWhenQuiet({ clock, faults }: { readonly clock: VirtualClock; readonly faults: FaultCounts }): void {
    const { cluster } = this.#site;
    if (!this.#quiet()) return;
    faults.count("restore of an old disk");
    const { lastIndex } = this.#member.replica.status().raft;
    const { unreliability } = cluster.network;
    cluster.network.unreliability = RELIABLE;
    this.#site.tell(this.#member, "gets an old copy of its disk");
    this.#site.calm = true;
    this.#site.putIn(this.#member, this.#log, this.#state);
    const until = clock.now() + CAUGHT_UP_MS;
    const look = (): void => {
      const { replica, ready } = this.#member;
      const raft = ready ? replica.status().raft : null;
      if (raft !== null && raft.recoveringTo === null && raft.lastIndex >= lastIndex) {
        this.#site.calm = false;
        cluster.network.unreliability = unreliability;
      } else if (clock.now() < until) clock.after(LOOK_MS, look);
      else this.#site.violation(`${this.#member.id} does not catch up from an old disk: ${JSON.stringify(raft)}`);
    };
    clock.after(LOOK_MS, look);
  }

  /** Its leader knows all that this member acknowledged. */
  #quiet(): boolean {
    const leader = this.#site.cluster.leading();
    if (leader === undefined || leader === this.#member || !quiet(this.#site, this.#member)) return false;
    const { raft } = leader.replica.status();
    const progress = raft.progress.find(({ id }) => id === this.#member.id);
    return progress?.active === true && progress.match >= raft.commit;
  }
}

/** Everyone, this member too, follows one leader; nothing is being changed, and no disk is damaged. */
export function quiet(site: SimulatedCluster, member: MemoryMember): boolean {
  const leader = site.cluster.leading();
  if (leader === undefined || !site.mayDamage(member)) return false;
  if (!site.cluster.network.whole || site.disksFail || site.changing) return false;
  const status = leader.replica.status();
  const { learners, outgoing } = status.raft.committedMembership;
  if (learners.length > 0 || outgoing.length > 0 || !status.members.includes(member.id)) return false;
  return site.group.every((it) => {
    if (!it.ready || it.failure !== null || it.clock.stopped) return false;
    const { term, raft, leader: known } = it.replica.status();
    return term === status.term && known === leader.id && raft.recoveringTo === null;
  });
}
