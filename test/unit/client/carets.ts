import { getCursor, getCursorPosition } from "@automerge/automerge/slim";
import type { Client, DocumentHandle } from "@openclaw/browser";
import { z } from "zod"; // or valibot, arktype: whatever implements https://standardschema.dev

const caret = z.object({ name: z.string().max(40), at: z.string() });

/** Where everybody is in a text: this page's caret for others, and theirs for this page. */
export function carets(client: Client, log: DocumentHandle<{ text: string }>, name: string) {
  const presence = client.presence.of(log, { schema: caret });
  const indexOf = (cursor: string): number | null => {
    try {
      return getCursorPosition(log.doc(), ["text"], cursor);
    } catch {
      return null; // it stands at a change that is not here yet
    }
  };
  return {
    moved: (index: number) => presence.set({ name, at: getCursor(log.doc(), ["text"], index) }),
    others: () => presence.others().map(({ link, value }) => ({ link, name: value.name, index: indexOf(value.at) })),
    subscribe: (changed: () => void) => presence.subscribe(changed),
    close: () => presence.close(),
  };
}
