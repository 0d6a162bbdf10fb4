/** What the raft transport has done since it started: plain sums, for metrics and tests. */
export interface RaftCounters {
  framesSent: number;
  messagesSent: number;
  /** Encoded messages, without frame heads. */
  bytesSent: number;
  framesReceived: number;
  messagesReceived: number;
  bytesReceived: number;
  /** Messages over a peer's queue limit. */
  droppedFull: number;
  /** Messages to a peer that was not there, or to a node whose address is not known. */
  droppedUnreachable: number;
  /** Messages in a batch that fits no frame. */
  droppedTooLarge: number;
  dials: number;
  linkFailures: number;
  /** Streams that were turned away: strangers, other clusters, epochs and versions. */
  refused: number;
  /** Streams that were closed for what they sent after they had been admitted. */
  malformed: number;
  snapshotsSent: number;
  snapshotsReceived: number;
}

export const newRaftCounters = (): RaftCounters => ({
  framesSent: 0,
  messagesSent: 0,
  bytesSent: 0,
  framesReceived: 0,
  messagesReceived: 0,
  bytesReceived: 0,
  droppedFull: 0,
  droppedUnreachable: 0,
  droppedTooLarge: 0,
  dials: 0,
  linkFailures: 0,
  refused: 0,
  malformed: 0,
  snapshotsSent: 0,
  snapshotsReceived: 0,
});
