/** Keep-alives of a child's leases, at its parent: each runs as it comes, whatever the child pushes meanwhile. */
import { OpenClawError } from "../errors.ts";
import { KEPT_LEASES_MAX } from "../limits.ts";
import { commandRefusal } from "./admission.ts";
import type { Principal } from "./authority.ts";
import type { ParentBackend } from "./backend.ts";
import type { ChildMessage, ParentMessage } from "./message.ts";

type KeepAlive = Extract<ChildMessage, { kind: "keepAlive" }>;
type Kept = Extract<ParentMessage, { kind: "kept" }>;

export class LeaseUpkeep {
  readonly #backend: Pick<ParentBackend, "keepAlive">;
  readonly #send: (kept: Kept) => void;
  #inWork = 0;

  constructor(backend: Pick<ParentBackend, "keepAlive">, send: (kept: Kept) => void) {
    this.#backend = backend;
    this.#send = send;
  }

  /** @throws OpenClawError FORBIDDEN, LEASE_NOT_FOUND, OVERLOADED, and as the backend's `keepAlive` */
  async keepAlive({ id, lease }: KeepAlive, principal: Principal): Promise<void> {
    if (this.#inWork >= KEPT_LEASES_MAX)
      throw new OpenClawError("OVERLOADED", `${KEPT_LEASES_MAX} keep-alives in work`);
    const refusal = commandRefusal({ kind: "leaseKeepAlive", lease }, principal);
    if (refusal !== null) throw new OpenClawError(refusal.code, refusal.details);
    this.#inWork++;
    try {
      const outcome = await this.#backend.keepAlive(lease, principal.name);
      if (!outcome.ok) throw new OpenClawError(outcome.code, outcome.details);
    } finally {
      this.#inWork--;
    }
    this.#send({ kind: "kept", id });
  }
}
