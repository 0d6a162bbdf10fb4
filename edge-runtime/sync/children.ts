/** The parent's side on this node: takes children's sync streams and knows who is connected. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import type { Authority } from "@openclaw/core/sync/authority.ts";
import { parentConnection } from "@openclaw/core/sync/connection.ts";
import { ParentLink } from "@openclaw/core/sync/parent-link.ts";
import type { ChangeCheck } from "../documents/change-check.ts";
import type { Host } from "../network/host.ts";
import type { NetworkLog } from "../network/network-log.ts";
import { handleSync } from "../network/sync-streams.ts";
import type { LinkRefusals } from "./link-refusals.ts";
import { type BackendReplica, type PinnedChild, replicaBackend } from "./replica-backend.ts";

export interface ChildrenOptions {
  readonly host: Host;
  readonly replica: BackendReplica;
  readonly authority: Authority;
  readonly changeCheck: Pick<ChangeCheck, "check">;
  readonly children: readonly PinnedChild[];
  readonly clock: Clock;
  readonly refusals: LinkRefusals;
  readonly log: NetworkLog;
}

/** A configured child, as this node sees it: another node of ours may have it. */
export interface ChildPresence {
  readonly cluster: ClusterId;
  readonly connected: boolean;
}

interface Child {
  link: ParentLink | null;
  /** Null for a client, and before it is admitted. */
  cluster: ClusterId | null;
  /** Who it is, let in or not. */
  authenticated: ClusterId | null;
}

export class Children {
  readonly #options: ChildrenOptions;
  /** Bounded where streams are taken. */
  readonly #children = new Set<Child>();
  #unhandle: () => Promise<void> = async () => {};

  private constructor(options: ChildrenOptions) {
    this.#options = options;
  }

  static async open(options: ChildrenOptions): Promise<Children> {
    const children = new Children(options);
    await children.#handle();
    return children;
  }

  presence(): readonly ChildPresence[] {
    const connected = new Set([...this.#children].map(({ cluster }) => cluster));
    return this.#options.children.map(({ cluster }) => ({ cluster, connected: connected.has(cluster) }));
  }

  /** Streams that are open, of clients and sites. */
  get size(): number {
    return this.#children.size;
  }

  async stop(): Promise<void> {
    await this.#unhandle();
    for (const { link } of [...this.#children]) link?.fail(new OpenClawError("STOPPED"));
  }

  async #handle(): Promise<void> {
    const { host, clock, refusals, log } = this.#options;
    const backend = replicaBackend(this.#options);
    this.#unhandle = await handleSync(host, (stream) => {
      const { remotePeer } = stream;
      const child: Child = { link: null, cluster: null, authenticated: null };
      this.#children.add(child);
      child.link = new ParentLink({
        connection: parentConnection(stream),
        backend,
        clock,
        remotePeer,
        authenticated: ({ child: who }) => {
          child.authenticated = who.kind === "site" ? who.cluster : null;
        },
        admitted: (hello) => {
          if (hello.child.kind === "client") return;
          child.cluster = hello.child.cluster;
          refusals.up("child", child.cluster);
          log.info({ child: child.cluster, peer: remotePeer }, "a child is connected");
        },
        closed: (reason) => {
          this.#children.delete(child);
          const { authenticated } = child;
          if (reason !== null && authenticated !== null) refusals.refused("child", authenticated, reason);
          if (reason !== null)
            log.warn(
              { err: reason, code: reason.code, child: authenticated, peer: remotePeer },
              "a child's connection ended",
            );
        },
      });
    });
  }
}
