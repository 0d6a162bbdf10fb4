/** What a person is told of each error code: what it means, and what to do next. */
import type { ErrorCode } from "./error-codes.ts";

export const ERROR_TEXTS: Readonly<Record<ErrorCode, string>> = {
  // Requests
  BAD_REQUEST: "the request is malformed",
  KEY_EMPTY: "a key has at least one byte",
  KEY_TOO_LARGE: "a key is at most 4,096 bytes",
  VALUE_TOO_LARGE: "a value is at most 1,048,576 bytes; store large objects elsewhere and keep their address here",
  CHANGE_TOO_LARGE: "a document change is at most 1,048,576 bytes",
  DOCUMENT_TOO_LARGE: "a document's changes are at most 67,108,864 bytes; begin a new document",
  CHANGE_INVALID: "the bytes are not an Automerge change, or its parts disagree",
  VALUE_INVALID: "the value is not of the form that was declared for its key",
  NOT_FOUND: "there is nothing under that name",
  COMPARE_FAILED: "the key is not at the expected revision; read it again and decide",
  DUPLICATE_KEY: "a transaction may put a key once, and not also delete it; split it",
  TXN_TOO_LARGE: "the transaction has too many operations, or would read or write too much at once; split it",
  RESPONSE_TOO_LARGE:
    "what the transaction would answer is more than is remembered of one; it changed nothing, ask for less",
  LEASE_NOT_FOUND: "there is no such lease: it expired, was revoked, or never was; its keys are gone",
  LEASE_EXISTS: "there is a lease with that id; draw another one",
  LEASE_LOST: "the lease ended, or could not be confirmed in time; whoever relied on it must stop",
  LEASE_FULL: "a lease holds at most 1,024 keys, which are deleted at once; take a second lease",
  MISSING: "the change depends on changes that are not here; push those first",
  QUARANTINED: "another change with this actor and sequence number stands; make the edit again under a fresh actor",
  CROSS_HOME: "the keys have different homes, and one command runs at one of them; split it",
  NOT_EMPTY: "there are keys under that prefix; delete them, or move them to another one, first",
  OUTCOME_UNKNOWN: "nothing is known of that command any more; it may have run, so read before writing again",
  DISCARDED: "the app dropped this edit before its site had it",
  READ_ONLY: "this prefix is a mirror; write at its home",
  // Authority
  UNAUTHENTICATED: "no valid token; send Authorization: Bearer",
  FORBIDDEN: "the token does not cover this prefix",
  CROSS_SITE: "a page of another site may not call this node; list its origin under http.origins",
  INSECURE_BIND: "without credentials a node binds loopback only; configure auth.publicKey or bind 127.0.0.1",
  // Availability
  OVERLOADED: "too much is waiting; slow down and retry",
  UNAVAILABLE: "no majority answered in time; whether a write took effect is unknown, retry within the session",
  NOT_LEADER: "this node is not the leader",
  MEMBERSHIP_PENDING: "another change of the members is under way, or the leader is new; retry when it is done",
  MEMBERSHIP_UNHEALTHY:
    "the members that would remain are not healthy enough to go on without the others; mend them first",
  MEMBERSHIP_INVALID: "the members cannot be changed like that",
  NODE_TOO_OLD: "the cluster's commands have a later meaning than this node knows; install a newer version on it",
  DIVERGED: "this node's state differs from other replicas', so it answers nothing from it; ask another node",
  TRANSFER_REFUSED: "leadership cannot go there",
  REMOVED: "this node was removed from its cluster; it serves no longer, and may be added again as a new node",
  IDEMPOTENCY_KEY_REUSED: "this Idempotency-Key was used for another request; draw a new one for each request",
  STORAGE_FULL: "the disk, or the budget for it, is full; make room, then retry",
  STOPPED: "the node is stopping",
  SESSION_EXPIRED: "the session no longer remembers this request; its outcome is unknown, read before writing again",
  COMPACTED: "that revision is no longer kept; start from a snapshot",
  NOT_SHIPPED: "the parent does not hold the ledger that far yet; compact less, or wait for the uplink",
  REVISION_AHEAD: "this node has not reached that revision yet; retry",
  // Links
  GAP: "the batch does not follow the cursor; rewind to the cursor named",
  FORK: "another ledger stands at that revision; the link is stopped until an operator decides: docs/forks-and-restores.md",
  WRONG_EPOCH: "the peer, or the position asked for, is of another epoch of this cluster; the older one must stop",
  EPOCH_BEHIND:
    "the cluster went on from a revision that its parent is past; `openclaw site resolve SITE --dry-run` at the hub says what differs",
  WRONG_CLUSTER: "the peer, or the position asked for, belongs to another cluster",
  NOT_ADMITTED: "the peer has no credential signed by the cluster's key; enrol it first",
  TOKEN_USED:
    "a token lets one node, or one site, in, and another one has used this; make a new one with openclaw member invite, or site enrol",
  UNKNOWN_CHILD: "this cluster is not enrolled here; make a token with openclaw site enrol and use it at the site",
  SITE_PENDING: "this site waits to be let in; an operator does it with openclaw site approve at its parent",
  SITE_REVOKED: "this site was shut out at its parent, which keeps what it shipped and takes no more",
  UNKNOWN_VERSION: "the peer, or what is stored, is of another version; upgrade the older side",
  MALFORMED_FRAME: "the frame could not be decoded",
  FRAME_TOO_LARGE: "the frame is larger than the limit",
  // Start
  CONFIG_INVALID: "the configuration is not valid; the line named must be mended",
  PORT_IN_USE: "the port is taken by another process; stop it or configure another port",
  DATA_IN_USE: "another process has this data folder open, or another client this store; stop it first",
  DATA_FOREIGN: "the data folder belongs to another node; point dataDir at this node's own",
  DATA_NEWER: "the data folder was written by a newer version; run that version",
  DATA_CORRUPT: "stored data failed its check; keep it, and replace this node with openclaw member replace",
  DATA_MISSING:
    "this node has run before and its data is gone; it must not vote again under this name: replace it with openclaw member replace",
  BACKUP_INVALID: "the backup is damaged, cut off, or no backup; what is named first is wrong",
  RESTORE_REFUSED: "a restore makes a new cluster in a new folder, and touches nothing that is there",
  RESCUE_REFUSED:
    "a rescue leaves the other members behind for good; it is refused where they, or another life, may go on",
  SQLITE_TOO_OLD: "SQLite before 3.51.3 can corrupt a database; reinstall with npm ci",
  STORAGE_FAILED: "the disk refused a write; the node stopped, because what it holds can no longer be vouched for",
  // Clients
  CLIENT_STORAGE_FAILED: "this device's storage refused the write; the edit is not safe on this device",
  CLIENT_STORAGE_LOST:
    "what was stored on this device is gone: the browser, or somebody, cleared it; open the page anew",
  INSECURE_CONTEXT: "the page needs a secure context, for else browsers have no locks between tabs",
  BROWSER_TOO_OLD: "the page needs a browser with IndexedDB, Web Locks, BroadcastChannel and workers",
  INTERNAL: "an unexpected error; the log of this node has it",
};

export const textOf = (code: ErrorCode): string => ERROR_TEXTS[code];
