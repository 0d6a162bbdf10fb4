/** A command that does nothing, wherever it runs: it stands for one that was dropped from a stream. */
import type { LinkId, Seq } from "../ids.ts";
import type { UserCommand } from "../state-machine/command.ts";
import type { OutboxRow, SiteLife } from "./store.ts";

const NOTHING: UserCommand = { kind: "txn", compares: [], success: [], failure: [] };

export const isNothing = (command: UserCommand): boolean =>
  command.kind === "txn" && command.compares.length + command.success.length + command.failure.length === 0;

/** In the place of a row, for the site that it was for: a number is never missing from a stream. */
export const nothingAt = (link: LinkId, at: Seq, site: SiteLife | null): OutboxRow => ({
  link,
  seq: at,
  command: NOTHING,
  ...(site === null ? {} : { site }),
});
