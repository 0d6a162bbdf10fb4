/**
 * The one table of error codes: what a person is told, whether the same call may succeed later, and the HTTP status.
 * A broken invariant is not here: it is an `InvariantViolation` and stops the node. docs/errors.md lists every row; a
 * test holds the two equal.
 */

interface ErrorRow {
  readonly retryable: boolean;
  readonly status: number;
  /** What it means and what to do next. */
  readonly message: string;
}

export const ERRORS = {
  // Requests
  BAD_REQUEST: { retryable: false, status: 400, message: "the request is malformed" },
  KEY_EMPTY: { retryable: false, status: 400, message: "a key has at least one byte" },
  KEY_TOO_LARGE: { retryable: false, status: 413, message: "a key is at most 4,096 bytes" },
  VALUE_TOO_LARGE: {
    retryable: false,
    status: 413,
    message: "a value is at most 1,048,576 bytes; store large objects elsewhere and keep their address here",
  },
  CHANGE_TOO_LARGE: { retryable: false, status: 413, message: "a document change is at most 1,048,576 bytes" },
  DOCUMENT_TOO_LARGE: {
    retryable: false,
    status: 413,
    message: "a document's changes are at most 67,108,864 bytes; begin a new document",
  },
  CHANGE_INVALID: {
    retryable: false,
    status: 400,
    message: "the bytes are not an Automerge change, or its parts disagree",
  },
  VALUE_INVALID: {
    retryable: false,
    status: 422,
    message: "the value is not of the form that was declared for its key",
  },
  NOT_FOUND: { retryable: false, status: 404, message: "there is nothing under that name" },
  COMPARE_FAILED: {
    retryable: false,
    status: 412,
    message: "the key is not at the expected revision; read it again and decide",
  },
  DUPLICATE_KEY: {
    retryable: false,
    status: 400,
    message: "a transaction may put a key once, and not also delete it; split it",
  },
  TXN_TOO_LARGE: {
    retryable: false,
    status: 413,
    message: "the transaction has too many operations, or would read or write too much at once; split it",
  },
  RESPONSE_TOO_LARGE: {
    retryable: false,
    status: 413,
    message: "what the transaction would answer is more than is remembered of one; it changed nothing, ask for less",
  },
  LEASE_NOT_FOUND: {
    retryable: false,
    status: 404,
    message: "there is no such lease: it expired, was revoked, or never was; its keys are gone",
  },
  LEASE_EXISTS: { retryable: false, status: 409, message: "there is a lease with that id; draw another one" },
  LEASE_LOST: {
    retryable: false,
    status: 409,
    message: "the lease ended, or could not be confirmed in time; whoever relied on it must stop",
  },
  LEASE_FULL: {
    retryable: false,
    status: 413,
    message: "a lease holds at most 1,024 keys, which are deleted at once; take a second lease",
  },
  MISSING: {
    retryable: false,
    status: 409,
    message: "the change depends on changes that are not here; push those first",
  },
  QUARANTINED: {
    retryable: false,
    status: 409,
    message: "another change with this actor and sequence number stands; make the edit again under a fresh actor",
  },
  CROSS_HOME: {
    retryable: false,
    status: 400,
    message: "the keys have different homes, and one command runs at one of them; split it",
  },
  NOT_EMPTY: {
    retryable: false,
    status: 409,
    message: "there are keys under that prefix; delete them, or move them to another one, first",
  },
  OUTCOME_UNKNOWN: {
    retryable: false,
    status: 410,
    message: "nothing is known of that command any more; it may have run, so read before writing again",
  },
  DISCARDED: { retryable: false, status: 410, message: "the app dropped this edit before its site had it" },
  READ_ONLY: { retryable: false, status: 403, message: "this prefix is a mirror; write at its home" },
  // Authority
  UNAUTHENTICATED: { retryable: false, status: 401, message: "no valid token; send Authorization: Bearer" },
  FORBIDDEN: { retryable: false, status: 403, message: "the token does not cover this prefix" },
  CROSS_SITE: {
    retryable: false,
    status: 403,
    message: "a page of another site may not call this node; list its origin under http.origins",
  },
  INSECURE_BIND: {
    retryable: false,
    status: 500,
    message: "without credentials a node binds loopback only; configure auth.publicKey or bind 127.0.0.1",
  },
  // Availability
  OVERLOADED: { retryable: true, status: 429, message: "too much is waiting; slow down and retry" },
  UNAVAILABLE: {
    retryable: true,
    status: 503,
    message: "no majority answered in time; whether a write took effect is unknown, retry within the session",
  },
  NOT_LEADER: { retryable: true, status: 503, message: "this node is not the leader" },
  MEMBERSHIP_PENDING: {
    retryable: true,
    status: 409,
    message: "another change of the members is under way, or the leader is new; retry when it is done",
  },
  MEMBERSHIP_UNHEALTHY: {
    retryable: true,
    status: 503,
    message: "the members that would remain are not healthy enough to go on without the others; mend them first",
  },
  MEMBERSHIP_INVALID: { retryable: false, status: 400, message: "the members cannot be changed like that" },
  NODE_TOO_OLD: {
    retryable: false,
    status: 409,
    message: "the cluster's commands have a later meaning than this node knows; install a newer version on it",
  },
  DIVERGED: {
    retryable: true,
    status: 503,
    message: "this node's state differs from other replicas', so it answers nothing from it; ask another node",
  },
  TRANSFER_REFUSED: { retryable: true, status: 409, message: "leadership cannot go there" },
  REMOVED: {
    retryable: false,
    status: 410,
    message: "this node was removed from its cluster; it serves no longer, and may be added again as a new node",
  },
  IDEMPOTENCY_KEY_REUSED: {
    retryable: false,
    status: 422,
    message: "this Idempotency-Key was used for another request; draw a new one for each request",
  },
  STORAGE_FULL: {
    retryable: true,
    status: 507,
    message: "the disk, or the budget for it, is full; make room, then retry",
  },
  STOPPED: { retryable: true, status: 503, message: "the node is stopping" },
  SESSION_EXPIRED: {
    retryable: false,
    status: 409,
    message: "the session no longer remembers this request; its outcome is unknown, read before writing again",
  },
  COMPACTED: { retryable: false, status: 410, message: "that revision is no longer kept; start from a snapshot" },
  NOT_SHIPPED: {
    retryable: true,
    status: 409,
    message: "the parent does not hold the ledger that far yet; compact less, or wait for the uplink",
  },
  REVISION_AHEAD: { retryable: true, status: 409, message: "this node has not reached that revision yet; retry" },
  // Links
  GAP: { retryable: true, status: 409, message: "the batch does not follow the cursor; rewind to the cursor named" },
  FORK: {
    retryable: false,
    status: 409,
    message:
      "another ledger stands at that revision; the link is stopped until an operator decides: docs/forks-and-restores.md",
  },
  WRONG_EPOCH: {
    retryable: false,
    status: 409,
    message: "the peer, or the position asked for, is of another epoch of this cluster; the older one must stop",
  },
  EPOCH_BEHIND: {
    retryable: false,
    status: 409,
    message:
      "the cluster went on from a revision that its parent is past; `openclaw site resolve SITE --dry-run` at the hub says what differs",
  },
  WRONG_CLUSTER: {
    retryable: false,
    status: 403,
    message: "the peer, or the position asked for, belongs to another cluster",
  },
  NOT_ADMITTED: {
    retryable: false,
    status: 403,
    message: "the peer has no credential signed by the cluster's key; enrol it first",
  },
  TOKEN_USED: {
    retryable: false,
    status: 409,
    message:
      "a token lets one node, or one site, in, and another one has used this; make a new one with openclaw member invite, or site enrol",
  },
  UNKNOWN_CHILD: {
    retryable: false,
    status: 403,
    message: "this cluster is not enrolled here; make a token with openclaw site enrol and use it at the site",
  },
  SITE_PENDING: {
    retryable: true,
    status: 403,
    message: "this site waits to be let in; an operator does it with openclaw site approve at its parent",
  },
  SITE_REVOKED: {
    retryable: false,
    status: 403,
    message: "this site was shut out at its parent, which keeps what it shipped and takes no more",
  },
  UNKNOWN_VERSION: {
    retryable: false,
    status: 400,
    message: "the peer, or what is stored, is of another version; upgrade the older side",
  },
  MALFORMED_FRAME: { retryable: false, status: 400, message: "the frame could not be decoded" },
  FRAME_TOO_LARGE: { retryable: false, status: 413, message: "the frame is larger than the limit" },
  // Start
  CONFIG_INVALID: {
    retryable: false,
    status: 500,
    message: "the configuration is not valid; the line named must be mended",
  },
  PORT_IN_USE: {
    retryable: false,
    status: 500,
    message: "the port is taken by another process; stop it or configure another port",
  },
  DATA_IN_USE: { retryable: false, status: 500, message: "another process has this data folder open; stop it first" },
  DATA_FOREIGN: {
    retryable: false,
    status: 500,
    message: "the data folder belongs to another node; point dataDir at this node's own",
  },
  DATA_NEWER: {
    retryable: false,
    status: 500,
    message: "the data folder was written by a newer version; run that version",
  },
  DATA_CORRUPT: {
    retryable: false,
    status: 500,
    message: "stored data failed its check; keep it, and replace this node with openclaw member replace",
  },
  DATA_MISSING: {
    retryable: false,
    status: 500,
    message:
      "this node has run before and its data is gone; it must not vote again under this name: replace it with openclaw member replace",
  },
  BACKUP_INVALID: {
    retryable: false,
    status: 500,
    message: "the backup is damaged, cut off, or no backup; what is named first is wrong",
  },
  RESTORE_REFUSED: {
    retryable: false,
    status: 409,
    message: "a restore makes a new cluster in a new folder, and touches nothing that is there",
  },
  RESCUE_REFUSED: {
    retryable: false,
    status: 409,
    message: "a rescue leaves the other members behind for good; it is refused where they, or another life, may go on",
  },
  SQLITE_TOO_OLD: {
    retryable: false,
    status: 500,
    message: "SQLite before 3.51.3 can corrupt a database; reinstall with npm ci",
  },
  STORAGE_FAILED: {
    retryable: false,
    status: 500,
    message: "the disk refused a write; the node stopped, because what it holds can no longer be vouched for",
  },
  // Clients
  CLIENT_STORAGE_FAILED: {
    retryable: false,
    status: 500,
    message: "this device's storage refused the write; the edit is not safe on this device",
  },
  CLIENT_STORAGE_LOST: {
    retryable: false,
    status: 500,
    message: "what was stored on this device is gone: the browser, or somebody, cleared it; open the page anew",
  },
  INSECURE_CONTEXT: {
    retryable: false,
    status: 500,
    message:
      "the page needs a secure context: open it over https, or on localhost, for else browsers have no locks between tabs",
  },
  BROWSER_TOO_OLD: {
    retryable: false,
    status: 500,
    message: "the page needs a browser with IndexedDB, Web Locks, BroadcastChannel and workers; use a newer one",
  },
  INTERNAL: { retryable: false, status: 500, message: "an unexpected error; the log of this node has it" },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export const isErrorCode = (text: unknown): text is ErrorCode =>
  typeof text === "string" && Object.hasOwn(ERRORS, text);

/** An expected failure. Only `code` and `details` cross a wire; the receiver looks the rest up in its own table. */
export class OpenClawError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly status: number;
  /** What was being done or found, in words; never a secret. */
  readonly details: string;

  constructor(code: ErrorCode, details = "", options?: { cause?: unknown }) {
    super(details === "" ? ERRORS[code].message : `${ERRORS[code].message} (${details})`, options);
    this.name = "OpenClawError";
    this.code = code;
    this.retryable = ERRORS[code].retryable;
    this.status = ERRORS[code].status;
    this.details = details;
  }
}

/** What was thrown, as an error of ours: INTERNAL unless it is one already. */
export const asOpenClawError = (error: unknown): OpenClawError =>
  error instanceof OpenClawError ? error : new OpenClawError("INTERNAL", String(error), { cause: error });

/** A bug in us. Whoever runs the node stops it; nothing catches this and goes on. */
export class InvariantViolation extends Error {
  constructor(message: string) {
    super(message);
    this.name = "InvariantViolation";
  }
}

/** States an invariant. @throws InvariantViolation */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message);
}

/** Makes a `switch` over a union exhaustive at compile time. */
export function unreachable(value: never): never {
  throw new InvariantViolation(`unreachable: ${String(value)}`);
}
