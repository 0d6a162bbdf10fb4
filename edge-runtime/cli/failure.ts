/** How the command line tells a failure: `CODE: message`, what to do next, and an exit code for scripts. */
import { type ErrorCode, OpenClawError } from "@openclaw/core/errors.ts";

/** 0 done, 1 refused (retrying will not help), 2 wrong usage, 3 not now (retrying may help), 4 nothing under that key. */
export const EXIT = { done: 0, refused: 1, usage: 2, retry: 3, notFound: 4 } as const;

/** What a person at a terminal does next. The other codes' messages say it themselves. */
const NEXT: Partial<Record<ErrorCode, string>> = {
  UNAVAILABLE: "Is a majority of the cluster running? `openclaw status` asks a node; `--endpoint` names another one.",
  UNAUTHENTICATED: "Put a valid token into the environment variable OPENCLAW_TOKEN.",
  FORBIDDEN: "Ask for a token whose read or write prefixes cover this key.",
  COMPARE_FAILED: "`openclaw get KEY --verbose` shows the revision to expect.",
  OVERLOADED: "Wait a moment and try again.",
  CONFIG_INVALID: "Mend what is named above; `openclaw init --help` shows how to make a fresh configuration.",
  INSECURE_BIND: "Bind 127.0.0.1, or give the configuration an `auth.publicKey` and hand out tokens.",
  PORT_IN_USE: "`ss -ltnp` shows who has it; or change the port in the configuration.",
  DATA_IN_USE: "Is this node running already? End that process first.",
  DATA_FOREIGN: "Check `dataDir` in the configuration.",
  DATA_CORRUPT: "Keep the folder, and replace the node: `openclaw member replace NODE --dir DIR` prints the line.",
  DATA_MISSING: "`openclaw member replace NODE --dir DIR` prints the line that puts a new node in its place.",
  TOKEN_USED: "`openclaw member invite --dir DIR` prints a new line.",
  MEMBERSHIP_PENDING: "`openclaw member list` shows the change that is under way.",
  MEMBERSHIP_UNHEALTHY: "`openclaw member list` shows who does not answer: remove those first, or start them.",
  NOT_ADMITTED: "Is it this cluster's token or credential? `openclaw member invite --dir DIR` prints a new line.",
  BACKUP_INVALID: "Revisions before the one named can be restored: `--at`. Use another copy, or begin a fresh folder.",
  INTERNAL: "The node's log has the cause.",
};

export function tell(error: unknown): number {
  if (!(error instanceof OpenClawError)) {
    process.stderr.write(`INTERNAL: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return EXIT.refused;
  }
  process.stderr.write(`${error.code}: ${error.message}\n`);
  const next = NEXT[error.code];
  process.stderr.write(`  ${next ?? `docs/errors.md says more about ${error.code}.`}\n`);
  if (error.code === "NOT_FOUND") return EXIT.notFound;
  return error.retryable ? EXIT.retry : EXIT.refused;
}
