/** What a replica does by itself, once a tick: raises versions, stamps what is due, compares states. */
import type { Clock, StateStore } from "../ports.ts";
import type { Raft } from "../raft/raft.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";
import type { Position } from "../state-machine/query.ts";
import { COMPARE_EVERY_MS, Comparisons } from "./comparisons.ts";
import type { ReplicaOptions } from "./contract.ts";
import { DueStamps } from "./due-stamps.ts";
import { VersionRaise } from "./version-raise.ts";

export interface UpkeepOptions {
  readonly replica: Pick<ReplicaOptions, "id" | "applyVersions" | "compareEveryMs">;
  readonly state: StateStore;
  readonly clock: Clock;
  /** As it is applied here. */
  readonly position: () => Position;
  readonly propose: (command: SystemCommand, timeoutMs: number) => Promise<CommandResult>;
  readonly running: () => boolean;
  readonly failed: (error: unknown) => void;
  readonly diverged: () => void;
  readonly receiving: () => boolean;
}

export class Upkeep {
  readonly versions: VersionRaise;
  readonly comparisons: Comparisons;
  readonly #due: DueStamps;
  readonly #position: () => Position;

  constructor({ replica, position, ...options }: UpkeepOptions) {
    const { id, applyVersions, compareEveryMs: everyMs = COMPARE_EVERY_MS } = replica;
    const version = (): number => position().applyVersion;
    this.#position = position;
    this.versions = new VersionRaise({ ...options, newest: applyVersions.length, version });
    this.#due = new DueStamps(options);
    this.comparisons = new Comparisons({ ...options, id, everyMs });
  }

  tick(raft: Raft): void {
    this.versions.tick(raft);
    this.#due.tick(this.#position(), raft.role === "leader");
    this.comparisons.tick(raft, this.#position());
  }
}
