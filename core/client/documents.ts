/** The documents that are open: each is one in memory, however many handles an app has of it. */
import { OpenClawError } from "../errors.ts";
import type { DocumentName } from "../ledger/document-names.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { SUBSCRIPTION_DOCUMENTS_MAX } from "../limits.ts";
import type { NextTurn } from "../ports.ts";
import type { ProvisionalChanges } from "../provisional/message.ts";
import { nameRefusal } from "../state-machine/document-name.ts";
import type { DocumentHandle } from "./document-handle.ts";
import type { Foresight } from "./foresight.ts";
import { Forks } from "./forks.ts";
import { type DocumentHost, OpenDocument } from "./open-document.ts";
import { Slices } from "./slices.ts";
import type { StandardSchema } from "./standard-schema.ts";
import type { QuarantinedRow } from "./store.ts";
import { TypedDocuments } from "./typed-documents.ts";
import type { Content } from "./working-copy.ts";

/** Documents open at once, all of which are streamed; a further one is refused OVERLOADED. */
const OPEN_MAX = SUBSCRIPTION_DOCUMENTS_MAX;

/** What documents need of their client. */
export interface DocumentsHost extends Omit<DocumentHost, "slices" | "forks"> {
  readonly nextTurn: NextTurn;
  /** Documents that are built from here on are edited under another actor: numbers of what was discarded are not used again (D2). */
  renewActor(): void;
  /** Makes sure that the document is part of what the parent streams. */
  subscribe(name: DocumentName): void;
}

export class Documents {
  readonly #host: DocumentsHost;
  readonly #slices: Slices;
  readonly #forks: Forks;
  readonly #open = new Map<string, { readonly document: OpenDocument; readonly loaded: Promise<void> }>();

  constructor(host: DocumentsHost) {
    this.#host = host;
    this.#slices = new Slices(host.clock, host.nextTurn);
    this.#forks = new Forks(host.clock);
  }

  /**
   * Opens a document. `initial` is its content if it has none here yet: give everyone the same.
   * @throws OpenClawError BAD_REQUEST (no site takes such a name), OVERLOADED, CHANGE_TOO_LARGE, CLIENT_STORAGE_FAILED
   */
  async open<T extends object = Content>(
    collection: string,
    id: string,
    options: { readonly initial?: T } = {},
  ): Promise<DocumentHandle<T>> {
    const wrong = nameRefusal(collection, id);
    if (wrong !== null) throw new OpenClawError(wrong.code, wrong.details);
    const name = nameOf(collection, id);
    const { document, loaded } = this.#open.get(name) ?? this.#begin(name, collection, id);
    // From now on: the handles that there are may be closed before this one is ready.
    document.hold();
    try {
      await loaded;
      // After it was fetched: the first subscription of a session is a new connection. It brings what came meanwhile.
      this.#host.subscribe({ collection, document: id });
      if (options.initial !== undefined) await document.begin({ ...options.initial } as Content);
    } catch (error) {
      document.release();
      throw error;
    }
    return document.handle<T>();
  }

  /** Those of a collection whose content has a declared form, checked on this device. */
  typed<Input extends object, Output>(
    collection: string,
    schema: StandardSchema<Input, Output>,
  ): TypedDocuments<Input, Output> {
    return new TypedDocuments(this, collection, schema);
  }

  #begin(name: string, collection: string, id: string) {
    if (this.#open.size >= OPEN_MAX) throw new OpenClawError("OVERLOADED", `${OPEN_MAX} documents are open`);
    const host = { ...this.#host, slices: this.#slices, forks: this.#forks };
    const document = new OpenDocument(collection, id, host, () => {
      // Another one may be open under that name by now.
      if (this.#open.get(name)?.document === document) this.#open.delete(name);
    });
    const one = { document, loaded: document.load() };
    this.#open.set(name, one);
    return one;
  }

  isOpen({ collection, document }: DocumentName): boolean {
    return this.#open.has(nameOf(collection, document));
  }

  /** Resolves when what was received is shown as far as that more may come. */
  room(): Promise<void> {
    return this.#slices.room();
  }

  /** Received changes that are stored: they show in the open document. */
  received(collection: string, id: string, changes: readonly DocumentChange[]): void {
    this.#open.get(nameOf(collection, id))?.document.receive(changes);
  }

  /** Others' that are not committed (D5): they show in the open document. */
  provisional({ collection, document: id, changes }: ProvisionalChanges, foresight: Foresight): void {
    const open = this.#open.get(nameOf(collection, id));
    if (open !== undefined) foresight.add(open.document, changes);
  }

  /** The client is stopped: its storage is not read again. */
  stop(): void {
    for (const { document } of this.#open.values()) document.provisional.stop();
  }

  /** Other sessions of this device have stored what this one was not told. @throws OpenClawError CLIENT_STORAGE_FAILED */
  async reread(): Promise<void> {
    this.#host.renewActor();
    for (const { document } of [...this.#open.values()]) await document.reread();
  }

  /** Of received changes these are kept out, which is written down. */
  quarantined(rows: readonly QuarantinedRow[]): void {
    for (const [name, own] of Map.groupBy(rows, (row) => nameOf(row.collection, row.document)))
      this.#open.get(name)?.document.quarantined(own);
  }

  /** No edit is taken in them until the returned function is called. */
  pause(names: readonly DocumentName[]): () => void {
    const paused = this.#opened(names);
    for (const document of paused) document.pause(1);
    let isPaused = true;
    return () => {
      if (isPaused) for (const document of paused) document.pause(-1);
      isPaused = false;
    };
  }

  /** Some of their changes are stored no more: they go back to what is. */
  async readAgain(names: readonly DocumentName[]): Promise<void> {
    this.#host.renewActor();
    await Promise.all(this.#opened(names).map((document) => document.reload()));
  }

  #opened(names: readonly DocumentName[]): readonly OpenDocument[] {
    const open = names.flatMap((name) => this.#open.get(nameOf(name.collection, name.document))?.document ?? []);
    return [...new Set(open)];
  }

  /** Rungs moved of changes of these, or of any, unless given. */
  rungsMoved(names?: readonly DocumentName[]): void {
    const moved = names === undefined ? [...this.#open.values()].map(({ document }) => document) : this.#opened(names);
    for (const document of moved) document.rungsMoved();
  }
}

const nameOf = (collection: string, id: string): string => JSON.stringify([collection, id]);
