/** What the nemesis can do to a cluster. */
import type { Random } from "@openclaw/core/ports.ts";
import { anyOf } from "../choice.ts";
import type { Member, RealCluster } from "../cluster.ts";
import type { Namespaces } from "../namespaces.ts";
import type { SmallDisk } from "../small-disk.ts";

/**
 * What it touches. Faults of different lanes run side by side, those of one lane one after the other; `alone` goes on
 * only while nothing else does, because more than one such thing at a time is outside of the fault model.
 */
export type Lane = "nodes" | "network" | "alone";

export interface Fault {
  readonly name: string;
  readonly lane: Lane;
  /** Does it, holds it, and takes it back, also when the run is called off. */
  inflict(stage: Stage): Promise<void>;
}

/** A fault that cannot be had here. */
export interface MissingFault {
  readonly name: string;
  /** Why, in words. */
  readonly missing: string;
}

export interface Stage {
  readonly cluster: RealCluster;
  readonly random: Random;
  /** Aborted when the run is broken off: then nothing is waited for any more, and nothing has to be made good. */
  readonly brokenOff: AbortSignal;
  /** Says what happens, in words. */
  readonly report: (text: string) => void;
  /** Says why it had no effect: allowed while another fault holds or the run is called off, else a finding. */
  readonly failed: (text: string) => void;
  /** Says what is wrong whatever else holds. */
  readonly finding: (text: string) => void;
  /** Resolves after a while, as long as faults last in this run, or at once when the run is called off. */
  hold(): Promise<void>;
  /** Whether the run is called off. */
  over(): boolean;
  /** Resolves when the node is ready or the run is called off. */
  ready(member: Member): Promise<void>;
}

/** Faults that need more than processes. */
export interface Surroundings {
  /** Null: all nodes share this machine's loopback. */
  readonly namespaces: Namespaces | null;
  readonly withoutNamespaces: string;
  readonly smallDisk: SmallDisk | null;
}

/** The leader; anybody while there is none. */
export async function leaderOf({ cluster, random }: Stage): Promise<Member> {
  return (await cluster.leader()) ?? anyOf(random, cluster.members);
}
