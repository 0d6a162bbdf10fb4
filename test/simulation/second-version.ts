/** A release with a second meaning of commands, which differs from the first where everybody sees it (R9). */
import type { Entry } from "@openclaw/core/raft/message.ts";
import { APPLY_VERSIONS, type ApplyVersions, applyEntry } from "@openclaw/core/state-machine/apply.ts";
import type { Command } from "@openclaw/core/state-machine/command.ts";
import { encodeCommands, readableCommands } from "@openclaw/core/state-machine/command-codec.ts";

/** What the second version puts before the name of whoever wrote something. */
export const SECOND = "second: ";

const changed = ({ header, ...body }: Command): Command => ({
  header: { ...header, principal: SECOND + header.principal },
  ...body,
});

const rewritten = (entry: Entry): Entry =>
  entry.kind === "commands" ? { ...entry, data: encodeCommands(readableCommands(entry.data).map(changed)) } : entry;

export const TWO_VERSIONS: ApplyVersions = [
  ...APPLY_VERSIONS,
  (machine, entry, results) => applyEntry(machine, rewritten(entry), results),
];
