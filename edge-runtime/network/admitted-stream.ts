/** Streams between two nodes of one cluster: opened with a handshake, refused with a code. */
import type { Connection, Stream } from "@libp2p/interface";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import { dialTarget, type PeerLocation } from "./address.ts";
import { openStream } from "./dial.ts";
import { asError, FrameStream } from "./frame.ts";
import type { Handshake } from "./handshake.ts";
import type { Host } from "./host.ts";
import { HANDSHAKE_TIMEOUT_MS, HELLO_BYTES_MAX } from "./limits.ts";

export interface Meeting {
  readonly host: Host;
  readonly handshake: Handshake;
  readonly clock: Clock;
}

/**
 * Dials a node and shows our credential. Resolves when the node has let us in.
 * @throws OpenClawError UNAVAILABLE when it cannot be reached; the code of its refusal; NOT_ADMITTED when it is not who it should be
 */
export async function dialAdmitted(
  meeting: Meeting,
  to: NodeId,
  location: PeerLocation,
  protocol: string,
  signal: AbortSignal,
): Promise<FrameStream> {
  const stream = await openStream(meeting.host, dialTarget(location), protocol, signal);
  const frames = new FrameStream(stream, HELLO_BYTES_MAX);
  return new Promise<FrameStream>((resolve, reject) => {
    const fail = (error: Error): void => {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
      // First, because the abort reports `closed`, which would reject with a vaguer reason.
      reject(error);
      frames.abort(error);
    };
    const onAbort = (): void => fail(new OpenClawError("STOPPED", `the handshake with ${to}`));
    const cancelTimer = meeting.clock.after(HANDSHAKE_TIMEOUT_MS, () => {
      fail(new OpenClawError("UNAVAILABLE", `${to} did not answer the handshake`));
    });
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) return onAbort();
    frames.receive({
      message: (answer) => {
        try {
          meeting.handshake.readAnswer(answer, location.peer, to);
        } catch (error) {
          return fail(asError(error));
        }
        cancelTimer();
        signal.removeEventListener("abort", onAbort);
        frames.detach();
        frames.admit();
        resolve(frames);
      },
      drained: () => undefined,
      closed: (reason) => {
        fail(new OpenClawError("UNAVAILABLE", `${to} closed the stream during the handshake`, { cause: reason }));
      },
    });
    frames.send(meeting.handshake.hello());
  });
}

export interface Guest {
  readonly node: NodeId;
  readonly frames: FrameStream;
}

/**
 * Waits for the hello of a stream that came in. `enter` runs before the answer; it takes over with `frames.receive`, or
 * throws an OpenClawError to turn the peer away. Whoever is not let in gets the code, is closed, and goes to `refused`.
 */
export function acceptAdmitted(
  meeting: Meeting,
  stream: Stream,
  connection: Connection,
  enter: (guest: Guest) => void,
  refused: (error: Error, remotePeer: string) => void,
): void {
  const remotePeer = connection.remotePeer.toString();
  const frames = new FrameStream(stream, HELLO_BYTES_MAX);
  const cancelTimer = meeting.clock.after(HANDSHAKE_TIMEOUT_MS, () => {
    frames.abort(new OpenClawError("UNAVAILABLE", "no hello came"));
  });
  frames.receive({
    message: (hello) => {
      const node = meeting.handshake.admit(hello, remotePeer);
      cancelTimer();
      frames.admit();
      enter({ node, frames });
      frames.send(meeting.handshake.welcome());
    },
    drained: () => undefined,
    closed: (reason) => {
      cancelTimer();
      refused(reason ?? new OpenClawError("UNAVAILABLE", "the peer left before its hello"), remotePeer);
    },
    lastWord: (error) => meeting.handshake.refusal(error),
  });
}
