/** What the main thread asks of the log's worker. */
import type { ClusterId, NodeId } from "@openclaw/core/ids.ts";
import type { LogWrite, OpenedLog } from "@openclaw/core/segment-log/log-write.ts";

export interface LogOpening {
  readonly folder: string;
  readonly cluster: ClusterId;
  readonly node: NodeId;
}

export interface LogCalls {
  open: { ask: LogOpening; answer: OpenedLog };
  write: { ask: LogWrite; answer: null };
  close: { ask: null; answer: null };
}
