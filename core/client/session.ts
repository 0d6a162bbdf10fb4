/**
 * One session of a device (D4): its parts, and what each tells the others. What an app calls of it is `Client`.
 */
import { asOpenClawError, OpenClawError } from "../errors.ts";
import type { LinkId, Revision } from "../ids.ts";
import type { DocumentName } from "../ledger/document-names.ts";
import type { ChildLinkOwner, Welcome } from "../sync/child-link.ts";
import { Documents } from "./documents.ts";
import { Down } from "./down.ts";
import { Drainer } from "./drain.ts";
import { type Draft, Journal } from "./journal.ts";
import { Keys, type KeysHost } from "./keys.ts";
import { Leases, type LeasesHost } from "./leases.ts";
import { Meeting } from "./meeting.ts";
import { Neighbours, type NeighboursHost } from "./neighbours.ts";
import type { ClientMetrics, ClientOptions, ClientStatus, StorageStatus } from "./options.ts";
import { OutboxEntries } from "./outbox-entries.ts";
import { hashesOf, requireSent } from "./outbox-row.ts";
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

const KEPT: StorageStatus = { persisted: null, loss: null, elsewhere: [] };

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
  readonly #roaming: Roaming;
  readonly #drainer: Drainer;
  readonly #neighbours: Neighbours;
  /** Resolves when the outcomes that came are stored. */
  #settling: Promise<unknown> = Promise.resolve();
  #stopped = false;
  /** Of documents. Another one when some of its changes were discarded: their numbers are not used again (D2). */
  #actor: LinkId;
  readonly #trouble: Trouble;

  /** @param changed called when `status` did */
  constructor(options: ClientOptions, restored: Restored, changed: () => void) {
    const { store, clock, random, inspection } = options;
    const { outbox, rungs, down, quarantines, online } = restored;
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
    const assertRoom = (): void => {
      if (this.#stopped) throw new OpenClawError("STOPPED", "the client is stopped");
      if (this.#journal.outbox.full) throw new OpenClawError("OVERLOADED", "too many edits wait for the site");
      if (this.settlement.full) throw new OpenClawError("OVERLOADED", "too many refused edits wait to be forgotten");
    };
    const enqueue = (draft: Draft): void => this.#enqueue(draft);
    const ask: KeysHost["ask"] = (query, mode) => this.#questions.ask(query, mode);
    const parts = { store, inspection, journal: this.#journal, rungs, quarantines, online };
    const fetching = {
      ask: (...document: readonly [string, string]) => this.#questions.document(...document),
      ...parts,
      failed: (error: unknown) => this.#trouble.note(error),
    };
    this.documents = new Documents({
      store,
      rungs,
      clock,
      nextTurn: options.nextTurn,
      inspection,
      digest: restored.digest,
      quarantines,
      quarantine: (rows) =>
        quarantines.keepOut(this.#journal, rows).then(changed, (error: unknown) => this.#trouble.note(error)),
      actor: () => this.#actor,
      renewActor: () => {
        this.#actor = drawLink(random);
      },
      freeze: options.freeze ?? false,
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
    this.leases = new Leases({ rungs, clock, random, assertRoom, enqueue, keepAlive, ask });
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
      this.#settled();
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
      owner: () => this.#owner(),
      changed: () => this.#changed(),
      ended: (reason) => this.#ended(reason),
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
      changed: () => this.#drainer.look().then(() => this.#settled()),
    });
    this.presence = new Presence({ clock, link: () => this.#site.link });
    this.#questions = new Questions(this.#site, this.reads, clock, random);
    this.upstream = new Upstream({ rungs, clock, moved: () => this.#settled(), store: () => this.#storeUpstream() });
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
      failed: (error) => this.#fail(error),
    });
    this.meeting = new Meeting({
      ...own,
      neighbours: this.#neighbours,
      roaming: options.roaming ?? "none",
      settled: () => this.#settling,
      left: (outbox) => this.#roaming.left(outbox),
      restart: () => this.#site.restart(),
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
      await this.#options.store.close();
      await this.#options.stopped?.();
    }
  }

  #owner(): Omit<ChildLinkOwner, "closed"> {
    const { outbox } = this.#journal;
    const settle = (outcomes: Parameters<Settlement["settle"]>[1], to: number): void => {
      const settled = this.settlement.settle(outbox, outcomes, to).then(
        (moved) => this.#settled(moved),
        (error: unknown) => this.#fail(error),
      );
      this.#settling = Promise.all([this.#settling, settled]);
    };
    return {
      source: {
        oldest: () => outbox.oldest(),
        next: async (...after) => ((await this.#down.begun()) ? outbox.next(...after) : null),
      },
      welcomed: (welcome) => {
        try {
          this.#welcomed(welcome);
          requireSent(welcome.cursor, outbox.nextSeq);
          settle(welcome.outcomes, welcome.cursor);
        } catch (error) {
          this.#fail(error);
        }
      },
      pushed: ({ outcomes }, to) => settle(outcomes, to),
      events: (run) => this.#down.events(run),
      snapshot: (step) => this.#down.snapshot(step),
      holds: (upstream, epoch) => this.upstream.holds(upstream, epoch),
      presence: (told) => this.presence.told(told),
      provisional: (changes) => this.documents.provisional(changes),
    };
  }

  #welcomed(welcome: Welcome): void {
    this.meeting.welcomed(welcome);
    this.upstream.holds(welcome.upstream, welcome.upstreamEpoch);
    this.#drainer.start();
    this.#roaming.welcomed();
    this.keys.welcomed();
    this.presence.welcomed();
    this.#down.turn();
    this.#changed();
  }

  #settled(moved?: readonly DocumentName[]): void {
    this.#site.link?.wake();
    this.#roaming.settled();
    this.documents.rungsMoved(moved);
    this.#changed();
  }

  #storeUpstream(): void {
    // Not the cursor of events that are on their way into the store: those may fail where this does not.
    const down = this.#down.stored();
    const write = { hubHolds: this.#rungs.upstream, ...(down === null ? {} : { down }) };
    this.#journal.commit({ write }).catch((error: unknown) => this.#fail(error));
  }

  async #ended(reason: OpenClawError | null): Promise<void> {
    this.#drainer.pause();
    this.#roaming.parted();
    this.keys.parted();
    this.presence.parted();
    try {
      await this.meeting.ended(reason);
    } catch (error) {
      // The next connection ends for the same reason, and this is tried again.
      this.#trouble.note(error);
    }
    this.#changed();
  }

  #wrote(at: Revision): void {
    const position = this.#down.position(at);
    if (position !== null) this.reads.saw(position);
  }

  #enqueue(draft: Draft): void {
    // What was refused was not written.
    for (const edit of draft.edits) edit.site.then((at) => this.#wrote(at)).catch(() => undefined);
    this.#journal.commit({ drafts: [draft] }).then(
      () => {
        this.#trouble.editStored();
        this.#rungs.stored(hashesOf(draft));
        for (const edit of draft.edits) edit.stored();
        if (draft.command.kind === "change") this.documents.rungsMoved([draft.command]);
        this.#changed();
      },
      (error: unknown) => {
        const failure = asOpenClawError(error);
        this.#trouble.editNotStored(failure);
        this.#rungs.notStored(hashesOf(draft), failure);
        for (const edit of draft.edits) edit.notStored(failure);
        this.#changed();
      },
    );
  }

  async #token(): Promise<string | null> {
    return (await this.#options.token?.()) ?? null;
  }

  /** Storage, or the parent, cannot go on: the connection ends, and the next one takes up where storage is. */
  #fail(error: unknown): void {
    if (error instanceof OpenClawError && error.code === "CLIENT_STORAGE_FAILED") this.#trouble.note(error);
    this.#site.link?.fail(asOpenClawError(error));
  }
}
