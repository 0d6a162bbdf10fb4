/** How the pages of one device hear each other: a channel that all of them have open. */
import type { DeviceNews, NeighboursPort } from "@openclaw/core/client/device-news.ts";
import { newsChannel } from "./tab-names.ts";

/** News that wait until the session has read the store; then it reads it once more instead. */
const EARLY_MAX = 1_024;

export class NewsChannel implements NeighboursPort {
  readonly #store: string;
  #channel: BroadcastChannel | null = null;
  #heard: ((news: DeviceNews) => void) | null = null;
  #early: DeviceNews[] = [];
  #closed = false;

  /** @param store the database's name */
  constructor(store: string) {
    this.#store = store;
    this.resume();
  }

  tell(news: DeviceNews): void {
    this.#channel?.postMessage(news);
  }

  listen(heard: (news: DeviceNews) => void): void {
    this.#heard = heard;
    for (const news of this.#early.splice(0)) heard(news);
  }

  /** The page is about to be frozen: what comes meanwhile would wait without a bound. */
  freeze(): void {
    this.#channel?.close();
    this.#channel = null;
  }

  /** What was not heard is in the store. */
  resume(): void {
    if (this.#closed || this.#channel !== null) return;
    const channel = new BroadcastChannel(newsChannel(this.#store));
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (isNews(data)) this.#take(data);
    };
    this.#channel = channel;
    if (this.#heard !== null) this.#take({ kind: "reread" });
  }

  close(): void {
    this.#closed = true;
    this.freeze();
  }

  #take(news: DeviceNews): void {
    if (this.#heard !== null) return this.#heard(news);
    if (this.#early.length >= EARLY_MAX) this.#early = [{ kind: "reread" }];
    else this.#early.push(news);
  }
}

const LISTS = ["queued", "answered", "awaiting", "failed", "forgotten", "dropped"] as const;

/** False where it is none of ours: whatever runs on this origin may speak here. */
function isNews(data: unknown): data is DeviceNews {
  if (typeof data !== "object" || data === null || !("kind" in data)) return false;
  if (data.kind === "reread") return true;
  const fields = data as Readonly<Record<string, unknown>>;
  return data.kind === "stored" && LISTS.every((list) => Array.isArray(fields[list]));
}
