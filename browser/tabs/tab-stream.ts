/** A stream to the site that one tab has of another: frames over a channel that only the two hear. */
import type { OpenClawError } from "@openclaw/core/errors.ts";
import { isErrorData } from "../worker/error-data.ts";
import { RelayEnd, type RelayMessage } from "../worker/relay.ts";

export interface Channel {
  post(message: unknown): void;
  close(): void;
}

/** Opens a channel that is heard from now on. */
export type OpenChannel = (name: string, receive: (data: unknown) => void) => Channel;

export type TabStream = RelayEnd<Uint8Array, Uint8Array>;

/** @param gone called when it has ended */
export function tabStream(open: OpenChannel, name: string, gone: () => void): TabStream {
  const channel = open(name, (data) => {
    const message = relayMessage(data);
    if (message !== null) stream.take(message);
  });
  const stream: TabStream = new RelayEnd(
    (message) => channel.post(message),
    () => {
      channel.close();
      gone();
    },
  );
  return stream;
}

/** Null where it is none of ours: whatever runs on this origin may speak here. */
function relayMessage(data: unknown): RelayMessage<Uint8Array> | null {
  if (typeof data !== "object" || data === null) return null;
  const { kind, frame, count, error } = data as Readonly<Record<string, unknown>>;
  switch (kind) {
    case "frame":
      return frame instanceof Uint8Array ? { kind, frame } : null;
    case "taken":
      return Number.isSafeInteger(count) ? { kind, count: Number(count) } : null;
    case "closed":
      return error === null || isErrorData(error) ? { kind, error } : null;
    default:
      return null;
  }
}

/** Ends them all for that reason, at both ends. */
export function failAll(streams: Iterable<TabStream>, reason: OpenClawError): void {
  for (const stream of [...streams]) stream.fail(reason);
}
