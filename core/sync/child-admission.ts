/** The door of the parent's side: who a child is, and whether it may go on from where it says that it stands (L3). */
import { OpenClawError } from "../errors.ts";
import { isNonce } from "../ids.ts";
import type { LinkState } from "../state-machine/query.ts";
import type { Principal } from "./authority.ts";
import type { ParentBackend } from "./backend.ts";
import { type ChildMessage, SYNC_VERSION } from "./message.ts";

type Hello = Extract<ChildMessage, { kind: "hello" }>;

export interface Admission {
  readonly principal: Principal;
  /** What is kept of the child's link; null for one that has pushed nothing yet. */
  readonly link: LinkState | null;
}

/** @throws OpenClawError UNKNOWN_VERSION, NOT_ADMITTED, UNKNOWN_CHILD, WRONG_CLUSTER, UNAUTHENTICATED, WRONG_EPOCH, FORK */
export async function admitChild(backend: ParentBackend, hello: Hello, remotePeer: string): Promise<Admission> {
  const principal = await authenticate(backend, hello, remotePeer);
  await requireOurs(backend, hello.down);
  const { link } = await backend.read({ kind: "link", link: hello.link });
  return { principal, link };
}

async function authenticate(
  backend: ParentBackend,
  { version, child, link }: Hello,
  remotePeer: string,
): Promise<Principal> {
  if (version !== SYNC_VERSION)
    throw new OpenClawError("UNKNOWN_VERSION", `${version}, this side speaks ${SYNC_VERSION}`);
  if (child.kind === "client") {
    // A client draws its link; a name would be a site's.
    if (!isNonce(link)) throw new OpenClawError("NOT_ADMITTED", "a client's link is 32 hex digits");
    return backend.authority.authenticate(child.token);
  }
  if (String(link) !== String(child.cluster)) throw new OpenClawError("WRONG_CLUSTER", "a site's link is its name");
  return backend.verifySite({ ...child, remotePeer });
}

/** What the child took of our ledger is of this epoch, and there. */
async function requireOurs(backend: ParentBackend, down: Hello["down"]): Promise<void> {
  const { epoch } = backend.position();
  if (down === null) return;
  if (down.epoch !== null && down.epoch !== epoch.nonce)
    throw new OpenClawError("WRONG_EPOCH", `the cursor is of epoch ${down.epoch}, this is ${epoch.nonce}`);
  if (down.cursor <= backend.position().revision) return;
  // Ahead is not a fork (L3): another node of ours was further. This one catches up first.
  await backend.barrier();
  if (down.cursor > backend.position().revision) throw new OpenClawError("FORK", "the child took more than there is");
}
