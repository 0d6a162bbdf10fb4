/** What a person is told of a browser's refusal to store: the reason, and what to do about it. */
import { OpenClawError } from "@openclaw/core/errors.ts";

/** By the DOMException's name. */
const REASONS: Readonly<Record<string, string>> = {
  QuotaExceededError: "no space left for this site on this device",
  VersionError: "a newer version of this app has run on this device; reload the page",
  // Cookies blocked, a sandboxed frame, some private modes.
  SecurityError: "this browser lets the site store nothing: allow cookies and site data, or leave private browsing",
};

export function storageFailure(error: unknown): OpenClawError {
  if (error instanceof OpenClawError) return error;
  const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const reason = error instanceof Error ? REASONS[error.name] : undefined;
  return new OpenClawError("CLIENT_STORAGE_FAILED", reason === undefined ? said : `${reason} (${said})`, {
    cause: error,
  });
}
