/**
 * Makes the steps of a snapshot (S4), at either end of a link that has one to send. All it knows is the head and a place:
 * what stood at a revision is read from the history, so that a transfer goes on at any node of the sender, and nothing is
 * kept between two pieces.
 */
import { equalBytes } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import type { ChangesOf } from "../history/history-query.ts";
import type { ClusterId, LinkId, Revision } from "../ids.ts";
import type { DocumentName, DocumentNames } from "../ledger/document-names.ts";
import type {
  SnapshotHead,
  SnapshotPiece,
  SnapshotPlace,
  SnapshotProgress,
  SnapshotSection,
  SnapshotStep,
} from "../ledger/snapshot.ts";
import { decodeDocumentPlace, encodeDocumentPlace } from "../ledger/snapshot-codec.ts";
import { placeAfter, placeAt, sectionsOf, snapshotScope } from "../ledger/snapshot-sections.ts";
import { NOTHING, namedIn, type Subscription } from "../ledger/subscription.ts";
import { BATCH_BYTES_MAX, SNAPSHOT_ORIGINS_MAX, SNAPSHOT_ROWS_MAX } from "../limits.ts";
import { Homes, wasPrivate } from "../state-machine/homes.ts";
import { plainRange } from "../state-machine/operation.ts";
import { keyAfter } from "../state-machine/row-pages.ts";
import type { Principal } from "./authority.ts";
import type { ParentBackend } from "./backend.ts";

export type SnapshotBackend = Pick<ParentBackend, "read" | "history" | "ledger" | "position">;

/** What of it the receiver may read. `origin`: of whose mirror a key is; null: our own. */
export interface SnapshotReader {
  mayReadKey(key: Uint8Array, origin: ClusterId | null): boolean;
  mayReadDocument: Principal["mayReadDocument"];
}

/** Up to where the receiver knows the changes of a document, or of every document of a collection (null: of all). */
export interface Since {
  collection(collection: string | null): Revision;
  document(document: DocumentName): Revision;
}

const all = (): boolean => true;

/** A cluster, which gets everything but what is private here, or was at that revision (Q3). */
export async function anotherCluster(backend: Pick<SnapshotBackend, "read">, at: Revision): Promise<SnapshotReader> {
  const { homes: rows, formerly } = await backend.read({ kind: "homes" });
  const homes = new Homes(rows);
  return {
    mayReadKey: (key, origin) => origin !== null || !wasPrivate(homes, formerly, key, at),
    mayReadDocument: all,
  };
}

export interface SnapshotWish {
  /** Null: of the present. */
  readonly at: Revision | null;
  readonly subscription: Subscription | null;
  readonly kept: Subscription | null;
  /** Whose mirrors it brings itself, or is; null: a client, which brings none. */
  readonly receiver: ClusterId | null;
}

/** @throws OpenClawError COMPACTED, OVERLOADED */
export async function snapshotHead(backend: SnapshotBackend, wish: SnapshotWish): Promise<SnapshotHead> {
  const { subscription, kept, receiver } = wish;
  const { origins, homes: rows, position } = await backend.read({ kind: "origins" });
  const at = wish.at ?? position.revision;
  const hash = at === position.revision ? position.hash : await hashAt(backend, at);
  if (hash === null) throw new OpenClawError("COMPACTED", `revision ${at} is not kept`);
  // Down to a child cluster, and with all of it: who only subscribes to more has them.
  const isDown = subscription !== null && kept === null && receiver !== null;
  const homes = (isDown ? rows : [])
    .filter(({ home }) => home === "hub")
    .map(({ prefix, owner, open }) => ({ prefix, owner, open }));
  const head = { at, hash, subscription, kept, origins: [], homes };
  const isMirrored = snapshotScope(head).mirrored.length > 0;
  const told = origins.filter(
    ({ cluster, link }) =>
      cluster !== receiver && !isLinkOf(link, receiver) && (isMirrored || homes.some(({ owner }) => owner === cluster)),
  );
  if (told.length > SNAPSHOT_ORIGINS_MAX)
    throw new OpenClawError("OVERLOADED", `mirrors of ${told.length} origins, at most ${SNAPSHOT_ORIGINS_MAX}`);
  return { ...head, origins: told.map(({ cluster, epoch }) => ({ cluster, epoch })) };
}

const isLinkOf = (link: LinkId, cluster: ClusterId | null): boolean => cluster !== null && String(link) === cluster;

/** True if a snapshot that is under way can go on: its revision is still told, and is the same one. @throws OpenClawError FORK */
export async function isStillTold(backend: SnapshotBackend, { at, hash }: SnapshotHead): Promise<boolean> {
  const found = await hashAt(backend, at);
  if (found === null) return false;
  if (!equalBytes(found, hash)) throw new OpenClawError("FORK", `a snapshot of another revision ${at}`);
  return true;
}

async function hashAt(backend: SnapshotBackend, at: Revision): Promise<Uint8Array | null> {
  if (at === 0) return null;
  try {
    const { records } = await backend.ledger(at, 1);
    return records[0]?.revision === at ? records[0].hash : null;
  } catch (error) {
    if (isCompacted(error)) return null;
    throw error;
  }
}

export const isCompacted = (error: unknown): boolean => error instanceof OpenClawError && error.code === "COMPACTED";

export class SnapshotSource {
  readonly head: SnapshotHead;
  readonly #backend: SnapshotBackend;
  readonly #sections: readonly SnapshotSection[];
  readonly #reader: SnapshotReader;
  readonly #since: Since;
  /** Those that the receiver has, up to the same revision. */
  readonly #kept: DocumentNames;
  #place: SnapshotPlace;
  #begun: boolean;

  /**
   * @param from where it goes on; the beginning for one that begins. Its head is the one that the receiver knows.
   * @param reader what the receiver may read
   */
  constructor(backend: SnapshotBackend, from: SnapshotHead | SnapshotProgress, since: Since, reader: SnapshotReader) {
    this.head = "head" in from ? from.head : from;
    this.#backend = backend;
    this.#sections = sectionsOf(this.head);
    this.#reader = reader;
    this.#since = since;
    this.#kept = namedIn(this.head.kept ?? NOTHING);
    this.#begun = "head" in from;
    this.#place = "head" in from ? from.place : placeAt(this.#sections, 0);
  }

  /** The next step; behind the end there is none. @throws OpenClawError COMPACTED, and what reading the past is refused with */
  async next(): Promise<SnapshotStep> {
    const { head } = this;
    if (!this.#begun) {
      this.#begun = true;
      return { kind: "begin", head };
    }
    const section = this.#sections[this.#place.section];
    if (section === undefined) return { kind: "end", at: head.at };
    const piece = await (section.kind === "keys" ? this.#keys(section) : this.#documents(section));
    this.#place = placeAfter(this.#sections, piece);
    return { kind: "piece", at: head.at, piece };
  }

  async #keys({ origin, to }: Extract<SnapshotSection, { kind: "keys" }>): Promise<SnapshotPiece> {
    const place = this.#place;
    const range = plainRange(place.from, to, SNAPSHOT_ROWS_MAX);
    const { rows, more } = await this.#backend.history({ kind: "range", origin, at: this.head.at, ...range });
    let bytes = 0;
    let count = 0;
    for (const { key, value } of rows) {
      if (bytes >= BATCH_BYTES_MAX) break;
      bytes += key.length + value.length;
      count++;
    }
    const last = rows[count - 1];
    const ends = count === rows.length && !more;
    return {
      ...place,
      to: ends || last === undefined ? null : keyAfter(last.key),
      rows: rows
        .slice(0, count)
        .filter(({ key }) => this.#reader.mayReadKey(key, origin))
        .map(({ key, value, createRevision, modRevision, version }) => ({
          key,
          value,
          createRevision,
          modRevision,
          version,
        })),
      documents: [],
    };
  }

  async #documents(section: Exclude<SnapshotSection, { kind: "keys" }>): Promise<SnapshotPiece> {
    const place = this.#place;
    const since = this.#since;
    const of: ChangesOf =
      section.kind === "documents"
        ? { kind: "collection", collection: section.collection, since: since.collection(section.collection) }
        : { kind: "documents", documents: section.documents.map((one) => ({ ...one, since: since.document(one) })) };
    const { documents, next } = await this.#backend.history({
      kind: "changes",
      of,
      at: this.head.at,
      after: decodeDocumentPlace(place.from),
    });
    return {
      ...place,
      to: next === null ? null : encodeDocumentPlace(next),
      rows: [],
      // A collection that is wanted whole may be one that single documents were wanted of.
      documents: documents.filter(
        (one) => !this.#kept.has(one) && this.#reader.mayReadDocument(one.collection, one.document),
      ),
    };
  }
}
