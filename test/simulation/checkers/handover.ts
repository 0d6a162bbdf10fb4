/**
 * Q3, of one ledger: at each of its revisions it tells where the keys of each prefix are written. Nobody writes here what is
 * written elsewhere, or what others have not released yet; what moves is there when it has moved.
 */
import { utf8Text } from "@openclaw/core/bytes.ts";
import { isKeyEvent, type LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { WRITER } from "./home-commands.ts";

interface Standing {
  /** Of a parent's. */
  readonly owner: string | null;
  readonly home: "ours" | "parent" | "private";
  readonly declared: number;
  /** Who has to release it. */
  readonly waiting: ReadonlySet<string>;
  readonly open: boolean;
}

type Keys = Map<string, string>;

/** @param parents clusters that may be above it */
export class HandoverChecker {
  readonly faults: string[] = [];
  readonly #name: string;
  readonly #cluster: string;
  readonly #parents: ReadonlySet<string>;
  readonly #homes = new Map<string, Standing>();
  readonly #own: Keys = new Map();
  readonly #mirrors = new Map<string, Keys>();
  readonly #children = new Set<string>();
  /** What was released to us, by prefix: it has to be here when the prefix opens. */
  readonly #handed = new Map<string, Set<string>>();
  /** What has to stand next, as our own. */
  #adopting: Keys | null = null;

  constructor(name: string, cluster: string, parents: readonly string[]) {
    this.#name = name;
    this.#cluster = cluster;
    this.#parents = new Set(parents);
  }

  /** The prefix of which a key is, by the longest one that has a home. */
  homeOf(key: string): (Standing & { readonly prefix: string }) | null {
    let found: (Standing & { readonly prefix: string }) | null = null;
    for (const [prefix, standing] of this.#homes)
      if (key.startsWith(prefix) && prefix.length >= (found?.prefix.length ?? 0)) found = { prefix, ...standing };
    return found;
  }

  /** Our own keys, with their values. */
  get own(): ReadonlyMap<string, string> {
    return this.#own;
  }

  get unopened(): readonly string[] {
    return [...this.#homes].flatMap(([prefix, { home, open }]) => (home === "ours" && !open ? [prefix] : []));
  }

  take(record: LedgerRecord): void {
    const { origin, link, principal, revision } = record;
    if (origin !== null && String(link) === String(origin.cluster) && !this.#parents.has(origin.cluster))
      this.#children.add(origin.cluster);
    this.#adopt(record);
    if (origin === null) this.#lookAtKeys(record);
    for (const event of record.events) {
      if (isKeyEvent(event)) {
        const keys = origin === null ? this.#own : this.#mirrorOf(origin.cluster);
        const key = utf8Text(event.key) ?? "";
        if (event.kind === "put") keys.set(key, utf8Text(event.value) ?? "");
        else keys.delete(key);
        continue;
      }
      if (event.kind !== "home") continue;
      const prefix = utf8Text(event.prefix) ?? "";
      const { step } = event;
      const teller = origin?.cluster ?? this.#cluster;
      if (origin === null && step.kind === "declare" && step.owner === null) this.#declare(revision, prefix, step);
      else if (this.#parents.has(teller) && step.kind === "declare") this.#hear(teller, prefix, step.home);
      else if (this.#parents.has(teller) && step.kind === "open") this.#hearOpen(prefix);
      else if (this.#children.has(teller) && step.kind === "release") this.#released(teller, prefix, step.of);
      else if (origin === null && step.kind === "open") this.#open(revision, prefix);
      else if (origin === null && step.kind === "release" && principal === WRITER)
        this.#fault(revision, `a writer released ${prefix}`);
    }
  }

  #lookAtKeys({ revision, principal, home, events }: LedgerRecord): void {
    for (const event of events) {
      if (!isKeyEvent(event)) continue;
      const key = utf8Text(event.key) ?? "";
      const standing = this.homeOf(key);
      if ((standing?.home === "private") !== (home === "private"))
        this.#fault(revision, `${key} is ${standing?.home ?? "a site's"} here, and its record ${home}`);
      if (principal !== WRITER) continue;
      if (standing?.home === "parent") this.#fault(revision, `${key} was written here, and its home is the parent`);
      if (standing?.home === "ours" && !standing.open)
        this.#fault(revision, `${key} was written here before ${[...standing.waiting].join(", ")} released it`);
    }
  }

  #declare(at: number, prefix: string, step: { readonly home: string; readonly waiting: readonly string[] }): void {
    const before = this.#homes.get(prefix);
    if (step.home === "site") {
      this.#comeBack(prefix);
      return;
    }
    if (step.home === "private") {
      this.#homes.set(prefix, { owner: null, home: "private", declared: at, waiting: new Set(), open: true });
      return;
    }
    const waiting = new Set(step.waiting);
    if (before === undefined) {
      for (const child of this.#children)
        if (!waiting.has(child)) this.#fault(at, `${prefix} does not wait for ${child}`);
      this.#handed.delete(prefix);
    }
    this.#homes.set(prefix, { owner: null, home: "ours", declared: before?.declared ?? at, waiting, open: false });
  }

  #released(child: string, prefix: string, of: number): void {
    const standing = this.#homes.get(prefix);
    if (standing?.home !== "ours" || of < standing.declared) return;
    const waiting = new Set(standing.waiting);
    waiting.delete(child);
    this.#homes.set(prefix, { ...standing, waiting });
    if (standing.open) return;
    const handed = this.#handed.get(prefix) ?? new Set();
    for (const key of this.#mirrorOf(child).keys()) if (this.homeOf(key)?.prefix === prefix) handed.add(key);
    this.#handed.set(prefix, handed);
  }

  #open(at: number, prefix: string): void {
    const standing = this.#homes.get(prefix);
    if (standing?.home !== "ours") return;
    if (standing.waiting.size > 0)
      this.#fault(at, `${prefix} opens, and ${[...standing.waiting].join(", ")} has not released it`);
    for (const key of this.#handed.get(prefix) ?? [])
      if (!this.#own.has(key)) this.#fault(at, `${prefix} opens without ${key}, which a child had`);
    this.#homes.set(prefix, { ...standing, open: true });
  }

  #hear(parent: string, prefix: string, home: string): void {
    if (this.homeOf(prefix)?.home === "private") return;
    if (home === "hub") {
      this.#homes.set(prefix, { owner: parent, home: "parent", declared: 0, waiting: new Set(), open: false });
      return;
    }
    this.#comeBack(prefix);
  }

  /** The parent gives it back, or is not the parent any more: then what it had is ours. */
  #comeBack(prefix: string): void {
    const before = this.#homes.get(prefix);
    const mirrored = [...this.#mirrorOf(before?.owner ?? this.#cluster)].filter(
      ([key]) => this.homeOf(key)?.prefix === prefix,
    );
    this.#homes.delete(prefix);
    if (before?.home !== "parent" || !before.open) return;
    // Under a longer prefix its keys may be the parent's still.
    const ours = mirrored.filter(([key]) => this.homeOf(key) === null);
    if (ours.length > 0) this.#adopting = new Map(ours);
  }

  #hearOpen(prefix: string): void {
    const standing = this.#homes.get(prefix);
    if (standing?.home === "parent") this.#homes.set(prefix, { ...standing, open: true });
  }

  /** What the parent had is ours before anything else is written. */
  #adopt({ revision, origin, principal, events }: LedgerRecord): void {
    if (this.#adopting === null) return;
    if (origin === null && principal === `cluster:${this.#cluster}`) {
      for (const event of events)
        if (event.kind === "put" && this.#adopting.get(utf8Text(event.key) ?? "") === utf8Text(event.value))
          this.#adopting.delete(utf8Text(event.key) ?? "");
      if (this.#adopting.size === 0) this.#adopting = null;
      return;
    }
    this.#fault(revision, `${[...this.#adopting.keys()].join(", ")} came back, and is not here`);
    this.#adopting = null;
  }

  #mirrorOf(cluster: string): Keys {
    const known = this.#mirrors.get(cluster);
    if (known !== undefined) return known;
    const keys: Keys = new Map();
    this.#mirrors.set(cluster, keys);
    return keys;
  }

  #fault(at: number, text: string): void {
    this.faults.push(`${this.#name} at ${at}: ${text}`);
  }
}
