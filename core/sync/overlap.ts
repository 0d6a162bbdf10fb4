/** What a child pushes again, compared with what is here (L3): an import looks at nothing that ends below its cursor. */
import { equalBytes } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import type { LinkId } from "../ids.ts";
import { lastRevision } from "../ledger/link-item.ts";
import type { LinkItem } from "../ledger/record.ts";
import type { CommandResult } from "../state-machine/command.ts";
import type { ParentBackend } from "./backend.ts";

/** @param result of the import of that push @throws OpenClawError FORK */
export async function requireSameLedger(
  backend: Pick<ParentBackend, "senderHash">,
  link: LinkId,
  { items, hash }: { readonly items: readonly LinkItem[]; readonly hash: Uint8Array },
  result: CommandResult,
): Promise<void> {
  const last = items.at(-1);
  if (result.kind !== "imported" || last === undefined || lastRevision(last) >= result.cursor) return;
  const known = await backend.senderHash(link, lastRevision(last));
  if (known !== null && !equalBytes(known, hash))
    throw new OpenClawError("FORK", `another hash at ${lastRevision(last)}, below the cursor ${result.cursor}`);
}
