import { toHex } from "@openclaw/core/bytes.ts";
import type { ChildConnection } from "@openclaw/core/sync/message.ts";

/** The same connection; of each piece of a snapshot that is delivered, its revision and place is noted. */
export function telling(connection: ChildConnection, pieces: string[]): ChildConnection {
  return {
    send: (message) => connection.send(message),
    close: () => connection.close(),
    receive: (handlers) =>
      connection.receive({
        ...handlers,
        message: (message) => {
          if (message.kind === "snapshot" && message.step.kind === "piece") {
            const { at, piece } = message.step;
            pieces.push(`${at} ${piece.section} ${toHex(piece.from)}`);
          }
          handlers.message(message);
        },
      }),
  };
}
