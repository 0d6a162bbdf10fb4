/** The parent's side on this node: takes children's sync streams and knows who is connected. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import type { Authority } from "@openclaw/core/sync/authority.ts";
import { parentConnection } from "@openclaw/core/sync/connection.ts";
import { ParentLink, type PresenceDoor, type ProvisionalDoor } from "@openclaw/core/sync/parent-link.ts";
import type { ChangeCheck } from "../documents/change-check.ts";
import type { Host } from "../network/host.ts";
import type { NetworkLog } from "../network/network-log.ts";
import { handleSync, type SyncStream } from "../network/sync-streams.ts";
import type { LinkRefusals } from "./link-refusals.ts";
import { ChildRefusals } from "./refusals.ts";
import { type BackendReplica, replicaBackend } from "./replica-backend.ts";
import type { SiteRegistry } from "./site-registry.ts";

export interface ChildrenOptions {
  readonly host: Host;
  readonly replica: BackendReplica;
  readonly authority: Authority;
  readonly changeCheck: Pick<ChangeCheck, "check">;
  readonly sites: Pick<SiteRegistry, "admit" | "refusal" | "follow">;
  /** Where clients meet others. */
  readonly presence: PresenceDoor;
  /** Where they see what others are about to change. */
  readonly provisional: ProvisionalDoor;
  readonly clock: Clock;
  readonly refusals: LinkRefusals;
  readonly log: NetworkLog;
}

interface Child {
  link: ParentLink | null;
  admitted: boolean;
  /** Null for a client, and before it is admitted. */
  cluster: ClusterId | null;
  /** Who it is, let in or not. */
  authenticated: ClusterId | null;
}

export class Children {
  readonly #options: ChildrenOptions;
  readonly refusals: ChildRefusals;
  /** Bounded where streams are taken. */
  readonly #children = new Set<Child>();
  #unhandle: () => Promise<void> = async () => {};
  #unfollow: () => void = () => {};

  private constructor(options: ChildrenOptions) {
    this.#options = options;
    this.refusals = new ChildRefusals(options.log, () => options.clock.wall());
  }

  static async open(options: ChildrenOptions): Promise<Children> {
    const children = new Children(options);
    await children.#handle();
    children.#unfollow = options.sites.follow(() => children.#closeRefused());
    return children;
  }

  /** Sites whose stream is open at this node. */
  connected(): ReadonlySet<ClusterId> {
    return new Set([...this.#children].flatMap(({ cluster }) => (cluster === null ? [] : [cluster])));
  }

  /** Streams that are open, of clients and sites. */
  get size(): number {
    return this.#children.size;
  }

  async stop(): Promise<void> {
    this.#unfollow();
    await this.#unhandle();
    for (const { link } of [...this.#children]) link?.fail(new OpenClawError("STOPPED"));
  }

  async #handle(): Promise<void> {
    const { host, clock, presence, provisional, refusals, log } = this.#options;
    const backend = replicaBackend({ ...this.#options, refusals: this.refusals });
    const overloaded = (error: OpenClawError, peer: string): void => this.refusals.note(null, error, peer);
    const taken = (stream: SyncStream): void => {
      const { remotePeer } = stream;
      const child: Child = { link: null, admitted: false, cluster: null, authenticated: null };
      this.#children.add(child);
      child.link = new ParentLink({
        connection: parentConnection(stream),
        backend,
        clock,
        presence,
        provisional,
        remotePeer,
        authenticated: ({ child: who }) => {
          child.authenticated = who.kind === "site" ? who.cluster : null;
        },
        admitted: (hello) => {
          child.admitted = true;
          if (hello.child.kind === "client") return;
          child.cluster = hello.child.cluster;
          refusals.up("child", child.cluster);
          log.info({ child: child.cluster, peer: remotePeer }, "a child is connected");
          // It may have been revoked since it was let in, a moment ago.
          this.#closeRefused();
        },
        closed: (reason) => {
          this.#children.delete(child);
          if (reason === null) return;
          if (child.authenticated !== null) refusals.refused("child", child.authenticated, reason);
          this.refusals.note(child.cluster, reason, remotePeer);
          if (!child.admitted) return;
          log.info({ code: reason.code, child: child.cluster, peer: remotePeer }, "a child's connection ended");
        },
      });
    };
    this.#unhandle = await handleSync(host, taken, overloaded);
  }

  /** Whoever is shut out is out (DESIGN §3): its stream ends with the code that the next one would be refused with. */
  #closeRefused(): void {
    for (const { cluster, link } of [...this.#children]) {
      const refusal = cluster === null ? null : this.#options.sites.refusal(cluster);
      if (refusal !== null) link?.fail(refusal);
    }
  }
}
