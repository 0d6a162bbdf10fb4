/** How large a command is, for the limits of queues and batches. */
import type { ImportedCommand, SystemCommand } from "./command.ts";

/** At most this many bytes a UTF-16 unit, and its length. */
export const textBytes = (text: string): number => 3 * text.length + 5;
const addText = (sum: number, text: string): number => sum + textBytes(text);
/** What surrounds the bytes of a command, a change or an item: numbers, hashes, lengths. */
const OVERHEAD_BYTES = 128;

/** Never less than what the command is encoded in, but for its principal: a batch larger than it seems might not fit an entry. */
export function commandBytes(body: ImportedCommand | SystemCommand): number {
  switch (body.kind) {
    case "put":
    case "compareAndSet":
      return OVERHEAD_BYTES + body.key.length + body.value.length;
    case "delete":
      return OVERHEAD_BYTES + body.key.length;
    case "change": {
      let bytes = OVERHEAD_BYTES + textBytes(body.collection) + textBytes(body.document);
      for (const change of body.changes) {
        bytes += OVERHEAD_BYTES + change.actor.length + 32 * change.deps.length + change.bytes.length;
      }
      return bytes;
    }
    case "refused":
      return OVERHEAD_BYTES + textBytes(body.details);
    case "importLedger":
      return body.items.reduce(
        (sum, item) => sum + OVERHEAD_BYTES + (item.kind === "body" ? item.record.length : 0),
        4 * OVERHEAD_BYTES,
      );
    case "importCommands":
      return body.commands.reduce((sum, command) => sum + commandBytes(command), OVERHEAD_BYTES);
    case "noteMember":
      return OVERHEAD_BYTES + [body.node, body.place.peer, body.place.http, ...body.place.addresses].reduce(addText, 0);
    case "raiseVersion":
      return OVERHEAD_BYTES + body.members.reduce(addText, 0);
    case "openSession":
    case "parentHolds":
    case "stamp":
      return OVERHEAD_BYTES;
  }
}
