/**
 * One session of a device (D4): its parts, and what each tells the others. What an app calls of it is `Client`.
 */
import type { LinkId } from "../ids.ts";
import { Conversation } from "./conversation.ts";
import { Documents } from "./documents.ts";
import { Down } from "./down.ts";
import { Drainer } from "./drain.ts";
import { EditQueue } from "./edit-queue.ts";
import { type Draft, Journal } from "./journal.ts";
import { Keys, type KeysHost } from "./keys.ts";
import { Leases, type LeasesHost } from "./leases.ts";
import { Meeting } from "./meeting.ts";
import { Neighbours, type NeighboursHost } from "./neighbours.ts";
import type { ClientMetrics, ClientOptions, ClientStatus, StorageStatus } from "./options.ts";
import { OutboxEntries } from "./outbox-entries.ts";
import { drawLink, OwnLinks } from "./own-link.ts";
import { Presence } from "./presence.ts";
import { Questions } from "./questions.ts";
import { ReadSession } from "./read-session.ts";
import type { Restored } from "./restored.ts";
import { Roaming } from "./roaming.ts";
import type { Rungs } from "./rungs.ts";
import { Settlement } from "./settlement.ts";
import { SiteLink } from "./site-link.ts";
import { subscriptionOf } from "./subscription.ts";
import { Trouble } from "./trouble.ts";
import { Upstream } from "./upstream.ts";

const KEPT: StorageStatus = { persisted: null, copied: null, loss: null, elsewhere: [] };

export class Session {
  readonly keys: Keys;
  readonly documents: Documents;
  readonly leases: Leases;
  readonly entries: OutboxEntries;
  readonly presence: Presence;
  readonly reads: ReadSession;
  readonly upstream: Upstream;
  readonly settlement: Settlement;
  readonly meeting: Meeting;
  readonly #options: ClientOptions;
  readonly #restored: Restored;
  readonly #changed: () => void;
  readonly #rungs: Rungs;
  readonly #journal: Journal;
  readonly #down: Down;
  readonly #site: SiteLink;
  readonly #questions: Questions;
  readonly #links: OwnLinks;
  readonly #edits: EditQueue;
  readonly #roaming: Roaming;
  readonly #drainer: Drainer;
  readonly #neighbours: Neighbours;
  readonly #conversation: Conversation;
  #stopped = false;
  /** Of documents. Another one when some of its changes were discarded: their numbers are not used again (D2). */
  #actor: LinkId;
  readonly #trouble: Trouble;
  /** Once it is loaded. */
  #online: Awaited<ReturnType<Restored["online"]>> | null = null;

  /** @param changed called when `status` did */
  constructor(options: ClientOptions, restored: Restored, changed: () => void) {
    const { store, clock, random, inspection } = options;
    const { outbox, rungs, down, quarantines } = restored;
    const online: Restored["online"] = async () => {
      this.#online = await restored.online();
      return this.#online;
    };
    this.#options = options;
    this.#changed = changed;
    this.#trouble = new Trouble(changed);
    this.#restored = restored;
    this.#rungs = rungs;
    this.reads = new ReadSession(options.readYourWrites ?? false);
    this.#actor = outbox.link;
    this.#links = new OwnLinks(restored.claim, random);
    this.#links.add(outbox.link, restored.release);
    const queued = (): void => {
      this.#site.link?.wake();
      this.#changed();
    };
    this.#journal = new Journal(store, outbox, queued, (write) => {
      this.#trouble.wrote();
      this.#neighbours.wrote(write);
    });
    this.settlement = new Settlement({ store, journal: this.#journal, rungs, online });
    this.settlement.restore(restored.failed);
    this.#edits = new EditQueue({
      journal: this.#journal,
      rungs,
      settlement: this.settlement,
      trouble: this.#trouble,
      wrote: (at) => {
        const position = this.#down.position(at);
        if (position !== null) this.reads.saw(position);
      },
      rungsMoved: (documents) => this.documents.rungsMoved(documents),
      changed,
    });
    const assertRoom = (): void => this.#edits.assertRoom();
    const enqueue = (draft: Draft): void => this.#edits.enqueue(draft);
    const ask: KeysHost["ask"] = (query, mode) => this.#questions.ask(query, mode);
    const parts = { store, inspection, journal: this.#journal, rungs, quarantines, online };
    const fetching = {
      ask,
      ...parts,
      failed: (error: unknown) => this.#trouble.note(error),
    };
    this.documents = new Documents({
      store,
      rungs,
      clock,
      nextTurn: options.nextTurn,
      digest: restored.digest,
      quarantines,
      quarantine: (rows) =>
        quarantines.keepOut(this.#journal, rows).then(changed, (error: unknown) => this.#trouble.note(error)),
      actor: () => this.#actor,
      renewActor: () => {
        this.#actor = drawLink(random);
      },
      freeze: options.freeze ?? false,
      replay: () => this.#online,
      assertRoom,
      enqueue,
      stored: () => this.#journal.commit({}),
      subscribe: (name) => this.#down.wantDocument(name),
      // Nobody waits for a site that cannot be reached.
      fetch: async (...document) =>
        this.#site.state === "online" ? (await online()).fetchDocument(fetching, ...document) : [],
    });
    this.keys = new Keys({
      store,
      rungs,
      clock,
      assertRoom,
      enqueue,
      ask,
      online,
      session: this.reads,
      head: async (timeoutMs) =>
        (await this.#site.ask({ kind: "position" }, { kind: "local" }, timeoutMs)).answer.revision,
      awaitsFirst: () => this.#down.awaitsFirst,
      nothingThere: () => this.#down.nothingThere(),
      mirrored: () => this.#down.position(this.#down.cursor),
      covers: (prefix, origin) => this.#down.coversPrefix(prefix, origin !== null),
      subscribePrefix: (prefix, origin) =>
        this.#down.want({ prefixes: [prefix], collections: [], mirrors: origin !== null }),
    });
    const keepAlive: LeasesHost["keepAlive"] = (lease, timeoutMs) => this.#site.keepAlive(lease, timeoutMs);
    this.leases = new Leases({ rungs, clock, random, assertRoom, enqueue, keepAlive, ask, online });
    this.#down = new Down(
      {
        ...parts,
        documents: this.documents,
        keys: this.keys,
        taken: (cursor) => {
          this.#site.link?.taken(cursor);
          this.#changed();
        },
        snapshotTaken: () => {
          this.#site.link?.snapshotTaken();
          this.#changed();
        },
        failed: (error) => this.#site.link?.fail(error),
        changed: () => this.#changed(),
        link: () => this.#site.link,
        restart: () => this.#site.restart(),
      },
      down,
      subscriptionOf(options.subscribe ?? {}),
    );
    const drained = (error: unknown): void => {
      this.#trouble.drained(error);
      this.#conversation.settled();
    };
    const drain = {
      store,
      clock,
      settlement: this.settlement,
      claim: restored.claim,
      site: () => this.#down.site,
      begun: () => this.#down.begun(),
      carry: (link: LinkId) => this.#roaming.carry(link),
      connect: () => options.connect(null),
      online,
      token: () => this.#token(),
    };
    this.#drainer = new Drainer(drain, this.#links.names, restored.foreign.length, drained);
    this.#site = new SiteLink({
      connect: (ended) => options.connect(ended),
      online,
      clock,
      random,
      hello: async () => ({
        child: { kind: "client", token: await this.#token() },
        ...(await this.meeting.hello()),
      }),
      owner: (code) => this.#conversation.owner(code),
      changed: () => this.#changed(),
      ended: (reason) => this.#conversation.ended(reason),
    });
    this.entries = new OutboxEntries({
      ...parts,
      settlement: this.settlement,
      documents: this.documents,
      claim: restored.claim,
      transfer: restored.transfer,
      own: this.#links.names,
      cluster: () => this.#down.cluster,
      site: () => this.#down.site,
      changed: () => this.#drainer.look().then(() => this.#conversation.settled()),
    });
    this.presence = new Presence({ clock, link: () => this.#site.link });
    this.#questions = new Questions(this.#site, this.reads, clock, random);
    this.upstream = new Upstream({
      rungs,
      clock,
      moved: () => this.#conversation.settled(),
      store: () => this.#conversation.storeUpstream(),
    });
    const own = {
      ...parts,
      documents: this.documents,
      keys: this.keys,
      leases: this.leases,
      session: this.reads,
      settlement: this.settlement,
      drainer: this.#drainer,
      down: this.#down,
      links: this.#links,
      failed: (error: unknown) => this.#trouble.note(error),
    };
    const neighbours: NeighboursHost = {
      ...own,
      own: this.#links.names,
      site: () => this.#down.site,
      changed: () => this.#changed(),
    };
    this.#neighbours = new Neighbours(neighbours, options.neighbours ?? null, restored.foreign);
    this.#roaming = new Roaming({
      ...own,
      ask,
      done: () => this.#drainer.start(),
      failed: (error) => this.#conversation.fail(error),
    });
    this.meeting = new Meeting({
      ...own,
      neighbours: this.#neighbours,
      roaming: options.roaming ?? "none",
      settled: () => this.#conversation.settling,
      left: (outbox) => this.#roaming.left(outbox),
      restart: () => this.#site.restart(),
    });
    this.#conversation = new Conversation({
      ...own,
      site: this.#site,
      meeting: this.meeting,
      upstream: this.upstream,
      roaming: this.#roaming,
      presence: this.presence,
      trouble: this.#trouble,
      nextTurn: options.nextTurn,
      changed,
    });
  }

  get name(): LinkId {
    return this.#restored.outbox.link;
  }

  status(): ClientStatus {
    return {
      link: this.#site.state,
      sync: this.#down.progress(),
      cluster: this.meeting.cluster,
      unsynced: this.#journal.outbox.edits + this.#journal.unstored + this.#drainer.waiting + this.#roaming.waiting,
      failed: this.settlement.failed.length,
      quarantined: this.#restored.quarantines.size,
      cursor: this.#down.cursor,
      upstream: this.#rungs.upstream,
      storage: this.#options.storage?.status() ?? KEPT,
      lastError: this.#trouble.last(this.#site.lastError),
    };
  }

  metrics(): Omit<ClientMetrics, "gateways"> {
    return { ...this.#site.metrics(), ...this.#questions.metrics() };
  }

  goOffline(): void {
    void this.#drainer.stop();
    this.#site.stop();
  }

  goOnline(): void {
    if (!this.#stopped) this.#site.start();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.leases.stop();
    this.#questions.stop();
    this.goOffline();
    this.#stopped = true;
    this.#edits.stop();
    this.documents.stop();
    this.upstream.stop();
    try {
      // Behind everything that is on its way into the store.
      await this.#journal.commit({});
    } finally {
      // Also where storage is gone: a link that stayed claimed would be drained by nobody.
      this.settlement.stop();
      this.#roaming.stop();
      this.#neighbours.stop();
      this.#links.stop();
      // Who has the store, and the connection, lets go of them whatever becomes of closing.
      await this.#options.store.close().finally(() => this.#options.stopped?.());
    }
  }

  async #token(): Promise<string | null> {
    return (await this.#options.token?.()) ?? null;
  }
}
