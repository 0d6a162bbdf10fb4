/**
 * Where the cluster's nodes are, as this node knows it: the replicated rows, and before they are there what the
 * configuration says. Also keeps this node's own row true, and notices when this node was removed.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import { isMember } from "@openclaw/core/raft/membership.ts";
import type { Replica } from "@openclaw/core/replica.ts";
import type { Member, MemberNote, MemberPlace } from "@openclaw/core/state-machine/member.ts";
import type { MembersDoor, SiteMember } from "./api/deps.ts";
import { asError } from "./network/frame.ts";
import type { NetworkLog } from "./network/network-log.ts";

/** Ms for one try to note our row, and between two. */
const NOTE_MS = 5_000;
const NOTE_AGAIN_MS = 2_000;
const LOOK_MS = 1_000;

type DirectoryReplica = Pick<Replica, "read" | "status" | "onRows" | "barrier" | "propose">;

export interface DirectoryOptions {
  readonly node: NodeId;
  /** What others are to know of this node. */
  readonly self: MemberNote;
  readonly configured: readonly SiteMember[];
  /** False for a founder: its configuration names it, so that a membership without it means that it was removed. */
  readonly joined: boolean;
  readonly clock: Clock;
  readonly log: NetworkLog;
  /** `list` may say something else than before. */
  readonly onList?: () => void;
  /** This node was removed: called once. */
  readonly onRemoved: () => void;
}

export class MemberDirectory implements MembersDoor {
  readonly #options: DirectoryOptions;
  readonly #stopping = new AbortController();
  #replica: DirectoryReplica | null = null;
  #unfollow: () => void = () => {};
  #rows: readonly Member[] = [];
  #list: readonly SiteMember[];
  #reading: Promise<void> | null = null;
  #stale = false;
  #noting: Promise<void> = Promise.resolve();
  #removedTold = false;
  #cancelLook: () => void = () => {};

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#list = options.configured;
  }

  /** From now on the rows count. Resolves when they are read. */
  async follow(replica: DirectoryReplica): Promise<void> {
    this.#replica = replica;
    this.#unfollow = replica.onRows("members", () => void this.refresh());
    await this.refresh();
    this.#lookLater();
    this.#noting = this.#noteSelf();
  }

  async stop(): Promise<void> {
    this.#unfollow();
    this.#cancelLook();
    this.#stopping.abort();
    await Promise.all([this.#noting, this.#reading]);
  }

  /** The members, by name; the same array until it changes. */
  list(): readonly SiteMember[] {
    return this.#list;
  }

  rows(): readonly Member[] {
    return this.#rows;
  }

  /** Also one that was removed: it is to be told. */
  locate(node: NodeId): MemberPlace | null {
    return this.#rows.find((row) => row.node === node) ?? this.#configured(node);
  }

  /** The peer to which the cluster has bound the name. */
  peerOf(node: NodeId): string | null {
    return this.#rows.find((row) => row.node === node)?.peer ?? null;
  }

  get removed(): boolean {
    if (this.#replica === null) return false;
    const { node, joined } = this.#options;
    const { raft, applied } = this.#replica.status();
    if (raft.removed || this.#rows.some((row) => row.node === node && row.standing === "removed")) return true;
    return !joined && applied > 0 && !isMember(raft.committedMembership, node);
  }

  /** Reads the rows anew; a call during a reading is answered by the next one. */
  refresh(): Promise<void> {
    this.#stale = true;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    while (this.#stale && this.#replica !== null && !this.#stopping.signal.aborted) {
      this.#stale = false;
      try {
        const { members } = await this.#replica.read({ kind: "members" });
        this.#take(members);
      } catch (error) {
        // Busy or stopping: the next change, or our own noting, reads again.
        this.#options.log.info({ reason: asError(error).message }, "the member rows could not be read");
        return;
      }
    }
  }

  #take(rows: readonly Member[]): void {
    this.#rows = rows;
    const named = new Set(rows.map(({ node }) => node as string));
    const { configured } = this.#options;
    const membership = this.#replica?.status().raft.committedMembership;
    // A founder is in no configuration entry until somebody else joins or leaves.
    const current = rows.filter(
      ({ node, standing }) => standing === "member" || (membership !== undefined && isMember(membership, node)),
    );
    this.#list = [
      ...configured.filter(({ node }) => !named.has(node)),
      ...current.map(({ node, peer, addresses, http }) => ({ node, peer, addresses, http })),
    ].sort((a, b) => (a.node < b.node ? -1 : 1));
    this.#options.onList?.();
    this.#look();
  }

  /** Whoever is told by word of mouth only (R10) applies no configuration that would say so. */
  #lookLater(): void {
    this.#look();
    if (!this.#removedTold) this.#cancelLook = this.#options.clock.after(LOOK_MS, () => this.#lookLater());
  }

  #look(): void {
    if (this.#removedTold || !this.removed) return;
    this.#removedTold = true;
    this.#options.onRemoved();
  }

  #configured(node: NodeId): MemberPlace | null {
    return this.#options.configured.find((member) => member.node === node) ?? null;
  }

  /** Our addresses may have changed while we were down, and a founder's are in nobody's rows yet. */
  async #noteSelf(): Promise<void> {
    const { node, self, log } = this.#options;
    const { signal } = this.#stopping;
    for (let tries = 0; this.#replica !== null && !signal.aborted && !this.removed; tries++) {
      try {
        await this.#replica.barrier(NOTE_MS);
        await this.refresh();
        if (this.removed || this.#isNoted(self)) return;
        const { supports, ...place } = self;
        const command = { kind: "noteMember", node, place, supports } as const;
        const result = await this.#replica.propose(command, { principal: `node:${node}`, timeoutMs: NOTE_MS });
        if (result.kind !== "memberNoted" || result.refused === null) return;
        log.warn(result.refused, "the cluster does not take what this node says of itself");
        return;
      } catch (error) {
        if (error instanceof OpenClawError && error.code === "STOPPED") return;
        if (tries === 0) log.info({ reason: asError(error).message }, "our own member row waits for a majority");
        await sleep(NOTE_AGAIN_MS, undefined, { signal, ref: false }).catch(() => {});
      }
    }
  }

  #isNoted({ peer, addresses, http, supports }: MemberNote): boolean {
    const row = this.#rows.find(({ node }) => node === this.#options.node);
    if (row === undefined || row.peer !== peer || row.http !== http || row.supports !== supports) return false;
    return String(row.addresses) === String(addresses);
  }
}
