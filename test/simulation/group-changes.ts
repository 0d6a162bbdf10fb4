/** An operator of a site in trouble: adds, replaces and removes members, and hands leadership over, often at bad moments. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FaultCounts } from "./faults.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";

/** Nodes of one site, those that were removed included. */
const NODES_MAX = 10;

/** What an operator may be told. */
const EXPECTED = new Set([
  "MEMBERSHIP_INVALID",
  "MEMBERSHIP_PENDING",
  "MEMBERSHIP_UNHEALTHY",
  "NODE_TOO_OLD",
  "TRANSFER_REFUSED",
  "OVERLOADED",
  "UNAVAILABLE",
  "STOPPED",
]);

export class GroupChanges {
  readonly #site: SimulatedCluster;
  readonly #faults: FaultCounts;
  readonly #random: SeededRandom;

  constructor(site: SimulatedCluster, { faults }: { readonly faults: FaultCounts }, random: SeededRandom) {
    this.#site = site;
    this.#faults = faults;
    this.#random = random;
  }

  change(change: "add" | "replace" | "remove" | "return", target: MemoryMember, timeoutMs: number): void {
    switch (change) {
      case "add":
      case "replace": {
        if (this.#site.members.length >= NODES_MAX) return;
        const newcomer = this.#site.newcomer();
        const replaces = change === "replace" ? target.id : null;
        return this.#ask(async (it) => {
          await this.#site.note(newcomer, it);
          await it.replica.changeMembership({ kind: "add", node: newcomer.id, replaces }, timeoutMs);
        });
      }
      case "remove":
        return this.#ask((it) => it.replica.changeMembership({ kind: "remove", node: target.id }, timeoutMs));
      case "return": {
        const { group } = this.#site;
        const gone = this.#site.members.find((it) => !group.includes(it));
        if (gone === undefined) return;
        return this.#ask((it) =>
          it.replica.changeMembership({ kind: "add", node: gone.id, replaces: null }, timeoutMs),
        );
      }
    }
  }

  transfer(to: MemoryMember, timeoutMs: number): void {
    const leader = this.#site.cluster.leading();
    if (this.#request((it) => it.replica.transferLeadership(to.id, timeoutMs)) && leader !== to)
      this.#faults.count("leadership transfer");
  }

  #ask(ask: (member: MemoryMember) => Promise<void>): void {
    if (this.#request(ask)) this.#faults.count("membership change");
  }

  /** Of any member that is there. */
  #request(ask: (member: MemoryMember) => Promise<void>): boolean {
    const members = this.#site.group.filter(({ ready, failure }) => ready && failure === null);
    if (members.length === 0) return false;
    const member = this.#random.pick(members);
    const request = async (): Promise<void> => ask(member);
    this.#site.change(request()).catch((error: unknown) => {
      if (error instanceof OpenClawError && EXPECTED.has(error.code)) return;
      this.#site.violation(`an operator was told ${error instanceof Error ? error.stack : String(error)}`);
    });
    return true;
  }
}
