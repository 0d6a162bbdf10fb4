/** X1. The written limits that more than one layer must agree on. A limit of one file stands in that file. */

/** Bytes of a key. */
export const KEY_BYTES_MAX = 4_096;
/** Bytes of a value. */
export const VALUE_BYTES_MAX = 1_048_576;
/** Bytes of one Automerge change as it travels. */
export const CHANGE_BYTES_MAX = 1_048_576;
/** Bytes of one frame on any link; a batch closes before it gets there. */
export const FRAME_BYTES_MAX = 4_194_304;
/** Bytes at which a batch (a proposal, a push, a run of events, a log append) is closed. */
export const BATCH_BYTES_MAX = 1_048_576;
/** Bytes of what a client shows of itself in one topic (R11). */
export const PRESENCE_VALUE_BYTES_MAX = 1_024;
/** Topics in which one client is present, and those that it hears. */
export const PRESENCE_TOPICS_MAX = 16;
/** Clients that are present in one topic. */
export const PRESENCE_TOPIC_ENTRIES_MAX = 128;
/** Presence is said, passed on and told at most once in this time, ms: twenty times a second. The newest wins. */
export const PRESENCE_PACE_MS = 50;
/** Bytes of the entries of one message of presence between gateways. */
export const PRESENCE_GOSSIP_BYTES_MAX = 12_288;
/** Changes that are shown before they are committed (D5), and bytes of them, in one message: what somebody types. */
export const PROVISIONAL_CHANGES_MAX = 8;
export const PROVISIONAL_BYTES_MAX = 12_288;
/** Bytes of a snapshot that are hashed, checked and resumed as one piece; the last piece may be shorter. */
export const SNAPSHOT_PIECE_BYTES = 1_048_576;
/** Items in a batch. */
export const BATCH_ITEMS_MAX = 1_024;
/** Results a session or a client's link keeps above the acknowledged low-water mark (rule Q1). */
export const RESULTS_MAX = 1_024;
/** Sessions and client links a cluster remembers; the one longest unused is forgotten first and answers SESSION_EXPIRED. */
export const SESSIONS_MAX = 10_000;
/** Log time that a foreign `Idempotency-Key` is remembered for, ms: a day (rule Q1). */
export const IDEMPOTENCY_MS = 86_400_000;
/** Characters of an `Idempotency-Key`. */
export const IDEMPOTENCY_KEY_CHARS_MAX = 255;
/** Nesting of an encoded value. */
export const DEPTH_MAX = 32;
/** Rows one range or list may return. */
export const RANGE_ROWS_MAX = 10_000;

/** Changes a change may depend on. Automerge names a document's heads: one for each author at work at once. */
export const DEPS_MAX = 1_024;
/** Events in one ledger record. */
export const EVENTS_MAX = 1_024;
/** Bytes of the events of one ledger record: it must fit a frame on every later link, and grows a little at each. */
export const RECORD_BYTES_MAX = FRAME_BYTES_MAX - 4 * 65_536;
/** Records around one another, below the outermost: one for each link that a revision came over. */
export const BODY_DEPTH_MAX = 8;
/** Compares, and operations of each branch, of one transaction; a nested one has what its own siblings leave (as in etcd). */
export const TXN_OPERATIONS_MAX = 128;
/** Bytes of a transaction itself: it must fit a frame and an entry. */
export const TXN_BYTES_MAX = 3 * 1_048_576;
/** Transactions inside one another, below the outermost. */
export const TXN_DEPTH_MAX = 8;
/** Ms that a lease may live without being kept alive: ten years. */
export const LEASE_TTL_MS_MAX = 315_360_000_000;
/** Bytes of the responses of one transaction. */
export const TXN_RESPONSE_BYTES_MAX = 262_144;
/** Bytes of responses that a session or a client's link keeps above the acknowledged low-water mark (rule Q1). */
export const RESPONSES_BYTES_MAX = 1_048_576;
/** Leases that one client keeps alive. */
export const KEPT_LEASES_MAX = 256;
/** Rows of one piece of a snapshot in a stream (S4), and changes of documents: with the deletes it causes, one record. */
export const SNAPSHOT_ROWS_MAX = 512;
/** Bytes of its keys, values and changes. */
export const SNAPSHOT_ROWS_BYTES_MAX = 2 * 1_048_576 + 65_536;
/** Origins whose mirrors one such snapshot holds. */
export const SNAPSHOT_ORIGINS_MAX = 10_000;
/** Collections, and prefixes, that one subscription may name. */
export const SUBSCRIPTION_ITEMS_MAX = 256;
/** Single documents that one subscription may name: as many as a client opens at once. */
export const SUBSCRIPTION_DOCUMENTS_MAX = 1_024;

/** Ancestors that are remembered. Whoever stands in an older epoch is no relation any more. */
export const ANCESTORS_MAX = 256;
/** Log time that a queued command, and its result, are remembered for, ms: 90 days; then its outcome is unknown (rule Q2). */
export const COMMAND_HORIZON_MS = 90 * 86_400_000;
/** Queued commands that wait for their result; a further one is refused OVERLOADED. */
export const COMMANDS_WAITING_MAX = 10_000;
/** Results of queued commands that are remembered; of more, the oldest is forgotten first. */
export const COMMANDS_SETTLED_MAX = 100_000;
/** Prefixes whose home one cluster declares, and bytes of one (rule Q3). */
export const HOMES_MAX = 256;
/** Prefixes that have homes at one cluster, those of eight tiers above it included: what the head of a snapshot tells (S4). */
export const HOMES_KNOWN_MAX = 8 * HOMES_MAX;
export const HOME_PREFIX_BYTES_MAX = 255;
