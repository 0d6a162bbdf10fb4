/** What sessions of one device tell each other of what they have stored. */
import type { Revision } from "../ids.ts";
import type { RowName } from "./outbox-row.ts";
import type { Awaiting, ClientWrite, FailedRow, OutboxRow } from "./store.ts";

/** What one session has stored, and tells the others. */
export type DeviceNews =
  | {
      readonly kind: "stored";
      /** Nonce of the site's epoch that its revisions are of. */
      readonly epoch: string | null;
      readonly queued: readonly OutboxRow[];
      /** `at`: the site's revision that holds it; null: it was refused, or goes on under another name. */
      readonly answered: readonly (RowName & { readonly at: Revision | null })[];
      readonly awaiting: readonly Awaiting[];
      readonly failed: readonly FailedRow[];
      readonly forgotten: readonly RowName[];
      /** Changes that were discarded. */
      readonly dropped: NonNullable<ClientWrite["dropped"]>;
    }
  /** More than can be told, or some of it was not heard: it is in the store. */
  | { readonly kind: "reread" };

/** How sessions of one device hear each other. */
export interface NeighboursPort {
  tell(news: DeviceNews): void;
  /** What was told since the port was made is heard, too: before this session read the store. Called once. */
  listen(heard: (news: DeviceNews) => void): void;
  close(): void;
}
