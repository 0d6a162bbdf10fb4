/** The leader's side: streams that it opens on its connection for other tabs, whose frames it passes on. */
import type { OpenClawError } from "@openclaw/core/errors.ts";
import type { FrameConnection } from "@openclaw/core/sync/message.ts";
import { errorData, errorOf } from "../worker/error-data.ts";
import { join } from "../worker/relay.ts";
import type { Locks } from "./leadership.ts";
import type { TabMessage } from "./tab-message.ts";
import { streamChannel, tabLock } from "./tab-names.ts";
import { failAll, type OpenChannel, type TabStream, tabStream } from "./tab-stream.ts";

export interface FollowerStreamsHost {
  /** The database's name. */
  readonly store: string;
  readonly locks: Locks;
  readonly open: OpenChannel;
  post(message: TabMessage): void;
  /** A stream on this tab's connection: fails where that is dropped meanwhile. @throws OpenClawError UNAVAILABLE, OVERLOADED, … */
  connect(tab: string, ended: OpenClawError | null): Promise<FrameConnection<Uint8Array, Uint8Array>>;
  /** That tab is gone. */
  gone(tab: string): void;
}

export class FollowerStreams {
  readonly #host: FollowerStreamsHost;
  /** By the tab that has them. As many as the connection takes. */
  readonly #streams = new Map<TabStream, string>();
  /** Tabs whose end is waited for. */
  readonly #watched = new Set<string>();

  constructor(host: FollowerStreamsHost) {
    this.#host = host;
  }

  async open({ tab, stream: id, ended }: Extract<TabMessage, { kind: "open" }>): Promise<void> {
    const { store, open, post, connect } = this.#host;
    this.#watch(tab);
    try {
      const frames = await connect(tab, ended === null ? null : errorOf(ended));
      // That tab went meanwhile, and nobody would end its stream.
      if (!this.#watched.has(tab)) return frames.close();
      const stream: TabStream = tabStream(open, streamChannel(store, id), () => this.#streams.delete(stream));
      this.#streams.set(stream, tab);
      join(stream, frames);
      post({ kind: "opened", stream: id, error: null });
    } catch (error) {
      post({ kind: "opened", stream: id, error: errorData(error) });
    }
  }

  /** This tab leads no more. */
  end(reason: OpenClawError): void {
    failAll(this.#streams.keys(), reason);
  }

  /** A tab that dies says nothing, and lets go of its lock. */
  #watch(tab: string): void {
    if (this.#watched.has(tab)) return;
    this.#watched.add(tab);
    const { store, locks, gone } = this.#host;
    void locks.request(tabLock(store, tab), { mode: "shared" }, () => {
      this.#watched.delete(tab);
      for (const [stream, of] of [...this.#streams]) if (of === tab) stream.close();
      gone(tab);
    });
  }
}
