/** The new node's side of a join: finds a member, by address or by mDNS, and asks it. */
import type { PeerId, PeerInfo } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";
import { asOpenClawError, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import { APPLY_VERSIONS } from "@openclaw/core/state-machine/apply.ts";
import type { MemberPlace } from "@openclaw/core/state-machine/member.ts";
import { parseMultiaddr } from "./address.ts";
import { verifyCredential } from "./credential.ts";
import { openStream } from "./dial.ts";
import { FrameStream } from "./frame.ts";
import type { Host } from "./host.ts";
import type { ClusterPublicKey } from "./identity.ts";
import { type Admitted, decodeAnswer, encodeRequest, JOIN_BYTES_MAX, JOIN_PROTOCOL } from "./join-protocol.ts";
import { JOIN_ANSWER_MS } from "./limits.ts";

/** Peers found by mDNS that are asked, each once a round; a local network has other peers than ours. */
const FOUND_MAX = 64;
/** Ms between two rounds. */
const AGAIN_MS = 1_000;

export interface JoinCall {
  readonly host: Host;
  readonly cluster: ClusterId;
  readonly clusterKey: ClusterPublicKey;
  readonly epochCounter: number;
  readonly credential: Uint8Array;
  /** Multiaddrs with /p2p. */
  readonly addresses: readonly string[];
  /** Where we shall be, once it is known where the member is: our address is the one that reaches it. */
  readonly placeFor: (member: Multiaddr) => Promise<MemberPlace>;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface Joined extends Admitted {
  readonly place: MemberPlace;
}

/**
 * Asks members in turn, round after round, until one of them says yes, or no for good.
 * @throws OpenClawError the refusal; UNAVAILABLE when nobody could be asked until the signal
 */
export async function callJoin(call: JoinCall): Promise<Joined> {
  const found = new Map<string, readonly Multiaddr[]>();
  const onFound = ({ detail }: CustomEvent<PeerInfo>): void => {
    if (found.size < FOUND_MAX || found.has(detail.id.toString())) {
      found.set(detail.id.toString(), detail.multiaddrs.map(withPeer(detail.id)));
    }
  };
  call.host.addEventListener("peer:discovery", onFound);
  let last = new OpenClawError("UNAVAILABLE", "no member was found");
  try {
    for (;;) {
      for (const target of [...call.addresses.map((address) => [parseMultiaddr(address)]), ...found.values()]) {
        if (call.signal.aborted) throw last;
        const answer = await ask(call, target);
        if (!(answer instanceof OpenClawError)) return answer;
        // A stranger's no comes as UNAVAILABLE: only who proves to be a member can say no for good.
        if (!answer.retryable) throw answer;
        if (answer.message !== last.message) call.report(answer.message);
        last = answer;
      }
      await pause(call.signal);
      if (call.signal.aborted) throw last;
    }
  } finally {
    call.host.removeEventListener("peer:discovery", onFound);
  }
}

const withPeer =
  (peer: PeerId) =>
  (address: Multiaddr): Multiaddr =>
    address.encapsulate(`/p2p/${peer}`);

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, AGAIN_MS);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

async function ask(call: JoinCall, target: readonly Multiaddr[]): Promise<Joined | OpenClawError> {
  const { host, cluster, clusterKey, credential, epochCounter, placeFor, signal } = call;
  try {
    const stream = await openStream(host, [...target], JOIN_PROTOCOL, signal);
    const connection = host.getConnections().find(({ streams }) => streams.includes(stream));
    if (connection === undefined) throw new OpenClawError("UNAVAILABLE", "the connection closed while it was opened");
    const frames = new FrameStream(stream, JOIN_BYTES_MAX);
    const place = await placeFor(connection.remoteAddr);
    const answer = decodeAnswer(
      await exchange(frames, encodeRequest({ cluster, credential, place, supports: APPLY_VERSIONS.length }), signal),
    );
    const remotePeer = connection.remotePeer.toString();
    verifyCredential(answer.credential, { cluster, clusterKey, remotePeer });
    if ("code" in answer) return new OpenClawError(answer.code, answer.details);
    if (answer.admitted.epoch.counter < epochCounter) {
      return new OpenClawError("UNAVAILABLE", `${remotePeer} is in an older epoch than the token`);
    }
    return { ...answer.admitted, place };
  } catch (error) {
    const { message } = asOpenClawError(error);
    return new OpenClawError("UNAVAILABLE", `asking ${target.join(", ")}: ${message}`, { cause: error });
  }
}

function exchange(frames: FrameStream, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  const answered = Promise.withResolvers<Uint8Array>();
  const late = AbortSignal.any([signal, AbortSignal.timeout(JOIN_ANSWER_MS)]);
  const onLate = (): void => {
    answered.reject(new OpenClawError("UNAVAILABLE", "no answer in time"));
    frames.abort(new OpenClawError("UNAVAILABLE", "no answer in time"));
  };
  late.addEventListener("abort", onLate, { once: true });
  frames.receive({
    message: (bytes) => {
      answered.resolve(bytes);
      frames.close();
    },
    drained: () => undefined,
    closed: (reason) => answered.reject(reason ?? new OpenClawError("UNAVAILABLE", "the stream closed")),
  });
  frames.send(request);
  return answered.promise.finally(() => late.removeEventListener("abort", onLate));
}
