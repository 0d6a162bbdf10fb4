/**
 * The one table of error codes: whether the same call may succeed later, and the HTTP status. What a person is told is in
 * error-texts.ts. A broken invariant is not here: it is an `InvariantViolation` and stops the node. docs/errors.md lists
 * every row; a test holds the two equal.
 */

interface ErrorRow {
  readonly retryable: boolean;
  readonly status: number;
}

export const ERRORS = {
  // Requests
  BAD_REQUEST: { retryable: false, status: 400 },
  KEY_EMPTY: { retryable: false, status: 400 },
  KEY_TOO_LARGE: { retryable: false, status: 413 },
  VALUE_TOO_LARGE: { retryable: false, status: 413 },
  CHANGE_TOO_LARGE: { retryable: false, status: 413 },
  DOCUMENT_TOO_LARGE: { retryable: false, status: 413 },
  CHANGE_INVALID: { retryable: false, status: 400 },
  VALUE_INVALID: { retryable: false, status: 422 },
  NOT_FOUND: { retryable: false, status: 404 },
  COMPARE_FAILED: { retryable: false, status: 412 },
  DUPLICATE_KEY: { retryable: false, status: 400 },
  TXN_TOO_LARGE: { retryable: false, status: 413 },
  RESPONSE_TOO_LARGE: { retryable: false, status: 413 },
  LEASE_NOT_FOUND: { retryable: false, status: 404 },
  LEASE_EXISTS: { retryable: false, status: 409 },
  LEASE_LOST: { retryable: false, status: 409 },
  LEASE_FULL: { retryable: false, status: 413 },
  MISSING: { retryable: false, status: 409 },
  QUARANTINED: { retryable: false, status: 409 },
  CROSS_HOME: { retryable: false, status: 400 },
  NOT_EMPTY: { retryable: false, status: 409 },
  OUTCOME_UNKNOWN: { retryable: false, status: 410 },
  DISCARDED: { retryable: false, status: 410 },
  READ_ONLY: { retryable: false, status: 403 },
  // Authority
  UNAUTHENTICATED: { retryable: false, status: 401 },
  FORBIDDEN: { retryable: false, status: 403 },
  CROSS_SITE: { retryable: false, status: 403 },
  INSECURE_BIND: { retryable: false, status: 500 },
  // Availability
  OVERLOADED: { retryable: true, status: 429 },
  UNAVAILABLE: { retryable: true, status: 503 },
  NOT_LEADER: { retryable: true, status: 503 },
  MEMBERSHIP_PENDING: { retryable: true, status: 409 },
  MEMBERSHIP_UNHEALTHY: { retryable: true, status: 503 },
  MEMBERSHIP_INVALID: { retryable: false, status: 400 },
  NODE_TOO_OLD: { retryable: false, status: 409 },
  DIVERGED: { retryable: true, status: 503 },
  TRANSFER_REFUSED: { retryable: true, status: 409 },
  REMOVED: { retryable: false, status: 410 },
  IDEMPOTENCY_KEY_REUSED: { retryable: false, status: 422 },
  STORAGE_FULL: { retryable: true, status: 507 },
  STOPPED: { retryable: true, status: 503 },
  SESSION_EXPIRED: { retryable: false, status: 409 },
  COMPACTED: { retryable: false, status: 410 },
  NOT_SHIPPED: { retryable: true, status: 409 },
  REVISION_AHEAD: { retryable: true, status: 409 },
  // Links
  GAP: { retryable: true, status: 409 },
  FORK: { retryable: false, status: 409 },
  WRONG_EPOCH: { retryable: false, status: 409 },
  EPOCH_BEHIND: { retryable: false, status: 409 },
  WRONG_CLUSTER: { retryable: false, status: 403 },
  NOT_ADMITTED: { retryable: false, status: 403 },
  TOKEN_USED: { retryable: false, status: 409 },
  UNKNOWN_CHILD: { retryable: false, status: 403 },
  SITE_PENDING: { retryable: true, status: 403 },
  SITE_REVOKED: { retryable: false, status: 403 },
  UNKNOWN_VERSION: { retryable: false, status: 400 },
  MALFORMED_FRAME: { retryable: false, status: 400 },
  FRAME_TOO_LARGE: { retryable: false, status: 413 },
  // Start
  CONFIG_INVALID: { retryable: false, status: 500 },
  PORT_IN_USE: { retryable: false, status: 500 },
  DATA_IN_USE: { retryable: false, status: 500 },
  DATA_FOREIGN: { retryable: false, status: 500 },
  DATA_NEWER: { retryable: false, status: 500 },
  DATA_CORRUPT: { retryable: false, status: 500 },
  DATA_MISSING: { retryable: false, status: 500 },
  BACKUP_INVALID: { retryable: false, status: 500 },
  RESTORE_REFUSED: { retryable: false, status: 409 },
  RESCUE_REFUSED: { retryable: false, status: 409 },
  SQLITE_TOO_OLD: { retryable: false, status: 500 },
  STORAGE_FAILED: { retryable: false, status: 500 },
  // Clients
  CLIENT_STORAGE_FAILED: { retryable: false, status: 500 },
  CLIENT_STORAGE_LOST: { retryable: false, status: 500 },
  INSECURE_CONTEXT: { retryable: false, status: 500 },
  BROWSER_TOO_OLD: { retryable: false, status: 500 },
  INTERNAL: { retryable: false, status: 500 },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export const isErrorCode = (text: unknown): text is ErrorCode =>
  typeof text === "string" && Object.hasOwn(ERRORS, text);
