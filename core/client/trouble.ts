/**
 * What went wrong besides the connection, until it is over. Storage comes before why there is no connection, for a device
 * that is offline has nothing else; what the site answered badly comes behind it, for that is of the connection before.
 */
import { asOpenClawError, type OpenClawError } from "../errors.ts";

export class Trouble {
  readonly #changed: () => void;
  /** Of the device's storage. */
  #storage: OpenClawError | null = null;
  /** An edit was lost by that: what is stored besides does not say that the next one would be. */
  #isOfEdit = false;
  /** Of a question, or of what a session that is over left to be sent. */
  #site: OpenClawError | null = null;

  /** @param changed called when `last` may have */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** @param link why there is no connection, or null */
  last(link: OpenClawError | null): OpenClawError | null {
    return this.#storage ?? link ?? this.#site;
  }

  note(error: unknown): void {
    const noted = asOpenClawError(error);
    if (noted.code.startsWith("CLIENT_STORAGE_")) this.#storage = noted;
    else this.#site = noted;
    this.#changed();
  }

  editNotStored(error: OpenClawError): void {
    this.#storage = error;
    this.#isOfEdit = true;
  }

  editStored(): void {
    this.#storage = null;
    this.#isOfEdit = false;
  }

  /** A write went well. */
  wrote(): void {
    if (this.#storage === null || this.#isOfEdit) return;
    this.#storage = null;
    this.#changed();
  }

  /** A round of the drainer is over, which found the site to answer, or failed. */
  drained(error: unknown): void {
    if (error !== null) return this.note(error);
    this.#site = null;
  }
}
