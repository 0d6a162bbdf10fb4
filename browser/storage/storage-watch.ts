/**
 * Watches over a device's storage (pitfall 43): asks the browser to keep it once there is something to protect, notices
 * when it is gone, and what waits in that of another origin. A browser evicts a site's database in silence, so a record outside of it says that there was one.
 */
import type { Client, StoragePort, StorageStatus } from "@openclaw/core/client/client.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import type { DeviceStore } from "./device-store.ts";
import type { Elsewhere } from "./elsewhere.ts";
import { recall, remember } from "./local-memory.ts";

/** How often an idle page looks whether its database is still there, ms. A write notices at once. */
const LOOK_EVERY_MS = 10_000;

/** In the place of a record: what the next visit finds has another name, and was told of at this one. */
const TOLD = "null";

/** What was here at the last visit. */
interface DeviceRecord {
  readonly identity: string;
  /** Edits that waited for the site, as the last page to say so knew it. */
  readonly unsynced: number;
}

/** The browser's promise not to evict; undefined where it knows none, or the context is not secure. */
type Persistence = Pick<StorageManager, "persisted" | "persist"> | undefined;

export class StorageWatch implements StoragePort {
  readonly #name: string;
  readonly #store: Pick<DeviceStore, "identity">;
  readonly #clock: Clock;
  readonly #persistence: Persistence;
  readonly #elsewhere: Elsewhere;
  #status: StorageStatus = { persisted: null, copied: null, loss: null, elsewhere: [] };
  #identity = "";
  #unsynced = 0;
  #asked = false;
  #changed: () => void = () => {};
  #cancel: () => void = () => {};
  #cancelled = false;

  /** @param name of the database */
  constructor(
    name: string,
    store: Pick<DeviceStore, "identity">,
    clock: Clock,
    persistence: Persistence,
    elsewhere: Elsewhere,
  ) {
    this.#name = `openclaw-device:${name}`;
    this.#store = store;
    this.#clock = clock;
    this.#persistence = persistence;
    this.#elsewhere = elsewhere;
  }

  status(): StorageStatus {
    return this.#status;
  }

  subscribe(changed: () => void): void {
    this.#changed = changed;
  }

  /** Opens the database, and tells whether it is that of the last visit. @throws OpenClawError CLIENT_STORAGE_FAILED */
  async recognise(): Promise<void> {
    const { name, takenUp } = await this.#store.identity();
    this.#identity = name;
    const told = recall(this.#name);
    const record = parseRecord(told);
    if (record?.identity === this.#identity) return;
    // A browser writes its small texts to the disk late: a kill may take the record with it.
    if (record !== null || (takenUp > 0 && told !== TOLD))
      this.#lose(
        `it was gone at this visit; ${waited(record?.unsynced ?? takenUp)}, ${takenUp} of a second copy are here`,
      );
    this.#record();
  }

  /** @param stop ends the session: its storage is gone */
  follow(client: Pick<Client, "status" | "subscribe">, stop: () => Promise<void>): void {
    const end = (error: OpenClawError): void => {
      if (this.#cancelled) return;
      this.stop();
      remember(this.#name, TOLD);
      this.#elsewhere.tell(0);
      this.#lose(`${error.details}; ${waited(this.#unsynced)}`);
      // It fails for the reason that was just told.
      stop().catch(() => undefined);
    };
    const look = (): void => {
      if (this.#cancelled) return;
      const { unsynced, lastError } = client.status();
      if (lastError?.code === "CLIENT_STORAGE_LOST") return end(lastError);
      if (unsynced !== this.#unsynced) {
        this.#unsynced = unsynced;
        this.#record();
      }
      this.#elsewhere.tell(unsynced);
      if (unsynced > 0) void this.#protect();
    };
    client.subscribe(look);
    look();
    this.look();
    this.#lookAgain(end);
  }

  /** Looks what waits at other origins. */
  look(): void {
    if (this.#cancelled || !this.#elsewhere.look()) return;
    this.#status = { ...this.#status, elsewhere: this.#elsewhere.found };
    this.#changed();
  }

  stop(): void {
    this.#cancelled = true;
    this.#cancel();
    this.#elsewhere.stop();
  }

  #lookAgain(end: (error: OpenClawError) => void): void {
    if (this.#cancelled) return;
    this.#cancel = this.#clock.after(LOOK_EVERY_MS, () => {
      this.look();
      this.#store.identity().then(
        ({ name, copied }) => {
          this.#tellCopied(copied);
          // A worker that took a dead one's place does not know that it was another.
          if (name !== this.#identity) end(new OpenClawError("CLIENT_STORAGE_LOST", "another one is in its place"));
        },
        (error: unknown) => {
          // What else may fail here shows at the next write.
          if (error instanceof OpenClawError && error.code === "CLIENT_STORAGE_LOST") end(error);
        },
      );
      this.#lookAgain(end);
    });
  }

  #tellCopied(copied: boolean | null): void {
    if (this.#cancelled || copied === this.#status.copied) return;
    this.#status = { ...this.#status, copied };
    this.#changed();
  }

  /** Once a page, and not before there is something to lose: a browser may ask the person. */
  async #protect(): Promise<void> {
    if (this.#asked || this.#persistence === undefined) return;
    this.#asked = true;
    let persisted = false;
    try {
      persisted = (await this.#persistence.persisted()) || (await this.#persistence.persist());
    } catch {
      // A browser that cannot be asked has promised nothing.
    }
    this.#status = { ...this.#status, persisted };
    this.#changed();
  }

  #lose(details: string): void {
    this.#status = { ...this.#status, loss: new OpenClawError("CLIENT_STORAGE_LOST", details) };
    this.#changed();
  }

  #record(): void {
    const record: DeviceRecord = { identity: this.#identity, unsynced: this.#unsynced };
    remember(this.#name, JSON.stringify(record));
  }
}

const waited = (unsynced: number): string =>
  unsynced === 0 ? "no edit of it waited for the site" : `up to ${unsynced} edits of it waited for the site`;

/** Null when there is none, or none that can be read: then it is as if nothing was here. */
function parseRecord(text: string | null): DeviceRecord | null {
  try {
    const value: unknown = JSON.parse(text ?? "null");
    if (typeof value !== "object" || value === null || !("identity" in value) || !("unsynced" in value)) return null;
    const { identity, unsynced } = value;
    return typeof identity === "string" && Number.isSafeInteger(unsynced)
      ? { identity, unsynced: Number(unsynced) }
      : null;
  } catch {
    return null;
  }
}
