/**
 * Where a ledger stood, as a token (L3): whoever wrote or read at one node of a cluster takes it to another one and reads
 * nothing older there. As text it fits a header and a query: `cluster.partition.epoch.revision`.
 */
import { OpenClawError } from "../errors.ts";
import { type ClusterId, isClusterId, isNonce, PARTITION, type Partition, type Revision, revision } from "../ids.ts";

export interface PositionToken {
  readonly cluster: ClusterId;
  readonly partition: Partition;
  /** Nonce of the epoch: revisions compare only within one. */
  readonly epoch: string;
  readonly revision: Revision;
}

const TEXT = /^([a-z0-9-]{1,63})\.(\d{1,9})\.([0-9a-f]{32})\.(0|[1-9]\d{0,15})$/;

/** The token of a state's position, or of an earlier revision of the same ledger. */
export const positionToken = (
  { cluster, epoch }: { readonly cluster: ClusterId; readonly epoch: { readonly nonce: string } },
  at: Revision,
): PositionToken => ({ cluster, partition: PARTITION, epoch: epoch.nonce, revision: at });

export const positionText = ({ cluster, partition, epoch, revision: at }: PositionToken): string =>
  `${cluster}.${partition}.${epoch}.${at}`;

/** @throws OpenClawError BAD_REQUEST */
export function parsePosition(text: string): PositionToken {
  const [, cluster, partition, epoch, at] = TEXT.exec(text) ?? [];
  const number = Number(at);
  if (!isClusterId(cluster) || partition !== String(PARTITION) || !isNonce(epoch) || !Number.isSafeInteger(number))
    throw new OpenClawError("BAD_REQUEST", "minRevision is the position of an earlier answer, as it was given");
  return { cluster, partition: PARTITION, epoch, revision: revision(number) };
}

/** The one that knows more: the later of one ledger, or `b` when they are of two. */
export const laterPosition = (a: PositionToken | null, b: PositionToken): PositionToken =>
  a !== null && a.cluster === b.cluster && a.epoch === b.epoch && a.revision > b.revision ? a : b;
