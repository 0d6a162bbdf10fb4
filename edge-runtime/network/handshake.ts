/**
 * How two nodes of one cluster meet. The dialler's first frame says who it is; the answer admits it or names a code.
 *
 *   hello   version, cluster, partition, epoch counter, epoch nonce, node, credential
 *   answer  version, code or null, details, epoch counter, epoch nonce, credential
 *
 * Both prove themselves by credential (R10), bound by Noise to the connection. After that every frame starts with a
 * stamp of partition and epoch (L3): a node of an old epoch must not slip one message in.
 */
import { EMPTY_BYTES, fromHex, toHex } from "@openclaw/core/bytes.ts";
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { type ErrorCode, isErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import {
  type ClusterId,
  type Epoch,
  isClusterId,
  isNodeId,
  isNonce,
  isPartition,
  type NodeId,
  PARTITION,
} from "@openclaw/core/ids.ts";
import { verifyCredential } from "./credential.ts";
import type { ClusterPublicKey } from "./identity.ts";

/** Version of the raft and snapshot protocols. */
export const TRANSPORT_VERSION = 2;

/** The part of an epoch that travels in frames. */
export type EpochMark = Pick<Epoch, "counter" | "nonce">;

export interface HandshakeOptions {
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly epoch: EpochMark;
  readonly credential: Uint8Array;
  readonly clusterKey: ClusterPublicKey;
  /** The peer to which the cluster has bound a name, as far as this node knows; null if to none. */
  readonly peerOf: (node: NodeId) => string | null;
  /** An admitted peer is in a higher epoch: this node must stop (L3). May be called more than once. */
  readonly onHigherEpoch: (epoch: EpochMark, peer: NodeId) => void;
}

/** Characters of a refusal's details: the answer must fit a handshake's frame. */
const DETAILS_MAX = 256;

/** Bytes of the stamp: partition 4, counter 8, nonce 16, all big-endian. */
const STAMP_BYTES = 28;

export class Handshake {
  /** Stands at the start of every frame after the handshake. */
  readonly stamp: Uint8Array;
  readonly #options: HandshakeOptions;

  constructor(options: HandshakeOptions) {
    this.#options = options;
    this.stamp = encodeStamp(options.epoch);
  }

  hello(): Uint8Array {
    const { cluster, epoch, node, credential } = this.#options;
    return encode([TRANSPORT_VERSION, cluster, PARTITION, epoch.counter, epoch.nonce, node, credential]);
  }

  /**
   * The node that says hello, if it may come in.
   * @throws OpenClawError UNKNOWN_VERSION, WRONG_CLUSTER, NOT_ADMITTED, TOKEN_USED, WRONG_EPOCH, MALFORMED_FRAME
   */
  admit(hello: Uint8Array, remotePeer: string): NodeId {
    const fields = new TupleReader(decode(hello), "hello");
    const version = fields.count();
    if (version !== TRANSPORT_VERSION) {
      throw new OpenClawError("UNKNOWN_VERSION", `version ${version}, this node speaks ${TRANSPORT_VERSION}`);
    }
    const cluster = fields.that(isClusterId, "a cluster's name");
    fields.that(isPartition, `partition ${PARTITION}`);
    const epoch = readMark(fields);
    const from = fields.that(isNodeId, "a node's name");
    const credential = fields.bytes();
    fields.end();
    if (cluster !== this.#options.cluster)
      throw new OpenClawError("WRONG_CLUSTER", `${cluster}, this is ${this.#options.cluster}`);
    this.#check(credential, remotePeer, from, epoch);
    if (from === this.#options.node)
      throw new OpenClawError("NOT_ADMITTED", `another node calls itself ${from}, as this one does`);
    return from;
  }

  welcome(): Uint8Array {
    return this.#answer(null, "", this.#options.credential);
  }

  /** The last frame to a peer that is turned away. Only an admitted one learns who we are. */
  refusal(error: OpenClawError): Uint8Array {
    return this.#answer(
      error.code,
      error.details,
      error.code === "WRONG_EPOCH" ? this.#options.credential : EMPTY_BYTES,
    );
  }

  /**
   * Reads the answer of the node that was dialled.
   * @throws OpenClawError the code of a refusal; NOT_ADMITTED, WRONG_CLUSTER when the peer is not who it should be
   */
  readAnswer(answer: Uint8Array, remotePeer: string, dialled: NodeId): void {
    const fields = new TupleReader(decode(answer), "answer");
    const version = fields.count();
    if (version !== TRANSPORT_VERSION) throw new OpenClawError("UNKNOWN_VERSION", `the peer speaks version ${version}`);
    const code = fields.orNull((reader) => reader.that(isErrorCode, "an error code"));
    const details = fields.text();
    const epoch = readMark(fields);
    const credential = fields.bytes();
    fields.end();
    if (code !== null && code !== "WRONG_EPOCH") throw new OpenClawError(code, `${dialled}: ${details}`);
    this.#check(credential, remotePeer, dialled, epoch);
    if (code !== null) throw new OpenClawError(code, `${dialled}: ${details}`);
  }

  /** What follows the stamp, if the frame belongs to our epoch. @throws OpenClawError WRONG_EPOCH, MALFORMED_FRAME */
  unstamp(frame: Uint8Array, from: NodeId): Uint8Array {
    if (frame.length < STAMP_BYTES) throw new OpenClawError("MALFORMED_FRAME", "a frame without an epoch");
    for (let i = 0; i < STAMP_BYTES; i++) {
      if (frame[i] !== this.stamp[i]) {
        this.#sameEpoch(decodeStamp(frame), from);
        break;
      }
    }
    return frame.subarray(STAMP_BYTES);
  }

  #answer(code: ErrorCode | null, details: string, credential: Uint8Array): Uint8Array {
    const { epoch } = this.#options;
    return encode([TRANSPORT_VERSION, code, details.slice(0, DETAILS_MAX), epoch.counter, epoch.nonce, credential]);
  }

  /**
   * A name is one peer's within an epoch. A restored cluster gives the names anew, and whoever is left of the old one must
   * hear of it: so across epochs the name does not count. But who came with a token that another one used ends no epoch.
   */
  #check(bytes: Uint8Array, remotePeer: string, claimed: NodeId, theirs: EpochMark): void {
    const { cluster, clusterKey, epoch: ours, peerOf } = this.#options;
    const { node, invitation } = verifyCredential(bytes, { cluster, clusterKey, remotePeer });
    if (node !== claimed) throw new OpenClawError("NOT_ADMITTED", `the credential is of ${node}, not of ${claimed}`);
    const bound = peerOf(node);
    const counts = theirs.counter === ours.counter || (theirs.counter > ours.counter && invitation !== null);
    if (counts && bound !== null && bound !== remotePeer) throw new OpenClawError("TOKEN_USED", `${node} is ${bound}`);
    this.#sameEpoch(theirs, claimed);
  }

  #sameEpoch(theirs: EpochMark, from: NodeId): void {
    const ours = this.#options.epoch;
    if (theirs.counter === ours.counter && theirs.nonce === ours.nonce) return;
    if (theirs.counter > ours.counter) this.#options.onHigherEpoch(theirs, from);
    throw new OpenClawError("WRONG_EPOCH", `epoch ${describe(theirs)} meets ${describe(ours)}`);
  }
}

const describe = (epoch: EpochMark): string => `${epoch.counter}/${epoch.nonce.slice(0, 8)}`;

function readMark(fields: TupleReader): EpochMark {
  const counter = fields.count();
  return { counter, nonce: fields.that(isNonce, "an epoch's nonce") };
}

function encodeStamp(epoch: EpochMark): Uint8Array {
  const nonce = fromHex(epoch.nonce);
  if (nonce?.length !== 16) throw new OpenClawError("CONFIG_INVALID", "an epoch's nonce is 32 hex digits");
  const stamp = new Uint8Array(STAMP_BYTES);
  const view = new DataView(stamp.buffer);
  view.setUint32(0, PARTITION);
  view.setBigUint64(4, BigInt(epoch.counter));
  stamp.set(nonce, 12);
  return stamp;
}

function decodeStamp(frame: Uint8Array): EpochMark {
  const view = new DataView(frame.buffer, frame.byteOffset, STAMP_BYTES);
  const partition = view.getUint32(0);
  if (partition !== PARTITION) throw new OpenClawError("MALFORMED_FRAME", `partition ${partition}`);
  const counter = view.getBigUint64(4);
  if (counter > BigInt(Number.MAX_SAFE_INTEGER)) throw new OpenClawError("MALFORMED_FRAME", "an epoch that cannot be");
  return { counter: Number(counter), nonce: toHex(frame.subarray(12, STAMP_BYTES)) };
}
