import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { PROVISIONAL_BYTES_MAX, PROVISIONAL_CHANGES_MAX } from "@openclaw/core/limits.ts";
import { ProvisionalGateway } from "@openclaw/core/provisional/gateway.ts";
import { decodeProvisional, encodeProvisional, type ProvisionalChanges } from "@openclaw/core/provisional/message.ts";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../simulation/virtual-clock.ts";
import { changesOf } from "../documents/changes.ts";
import { ANYBODY } from "../sync/anybody.ts";
import { codeOf } from "../sync/code-of.ts";
import { Scripted } from "../sync/scripted.ts";
import { linkId, World } from "../sync/world.ts";

const [CHANGE, LARGE] = changesOf(
  "aa",
  (draft) => Object.assign(draft, { a: 1 }),
  (draft) => Object.assign(draft, { a: crypto.getRandomValues(new Uint8Array(PROVISIONAL_BYTES_MAX)) }),
) as [DocumentChange, DocumentChange];
const TYPED: ProvisionalChanges = { collection: "log", document: "today", changes: [CHANGE] };

interface Options {
  readonly collections?: readonly string[];
  readonly documents?: readonly { readonly collection: string; readonly document: string }[];
  readonly reads?: boolean;
  readonly mayRead?: (document: string) => boolean;
}

class Site {
  readonly clock = new VirtualClock();
  readonly published: Uint8Array[] = [];
  readonly gateway = new ProvisionalGateway({
    clock: this.clock,
    publish: (message) => void this.published.push(message),
  });

  client(options: Options = {}) {
    const { collections = ["log"], documents = [], reads = true, mayRead = () => true } = options;
    const seen: ProvisionalChanges[] = [];
    const session = this.gateway.join({
      principal: { ...ANYBODY, mayReadDocument: (_, document) => mayRead(document) },
      subscription: () => ({ prefixes: [], collections, mirrors: false, documents }),
      send: (changes) => {
        if (reads) seen.push(changes);
        return reads;
      },
    });
    return { ...session, seen };
  }
}

describe("D5: provisional changes at a gateway", () => {
  test("are shown to who is subscribed and may read the document, not to who pushes them, and are told to the others", () => {
    const site = new Site();
    const author = site.client();
    const viewer = site.client({ collections: ["other", "log"] });
    const stranger = site.client({ mayRead: (document) => document !== "today" });
    const elsewhere = site.client({ collections: ["other"] });
    const single = (document: string) => site.client({ collections: [], documents: [{ collection: "log", document }] });
    const [one, another] = [single("today"), single("tomorrow")];
    author.offer(TYPED);
    const clients = [author, viewer, stranger, elsewhere, one, another];
    expect(clients.map(({ seen }) => seen.length)).toEqual([0, 1, 0, 0, 1, 0]);
    expect(viewer.seen).toEqual([TYPED]);
    expect(site.published.map(decodeProvisional)).toEqual([TYPED]);
    // Of another gateway's client, all of this one's are others.
    const other = new Site();
    const far = other.client();
    other.gateway.heard(decodeProvisional(site.published[0] ?? new Uint8Array()));
    expect([far.seen, other.published]).toEqual([[TYPED], []]);
    viewer.close();
    author.offer(TYPED);
    expect(viewer.seen).toHaveLength(1);
  });

  test("X1: are lost where a client does not read, where they are many or large, and beyond the pace; each is counted", () => {
    const site = new Site();
    const author = site.client({ collections: [] });
    const [viewer, slow] = [site.client(), site.client({ reads: false })];
    author.offer({ ...TYPED, changes: [LARGE] });
    author.offer({ ...TYPED, changes: Array.from({ length: PROVISIONAL_CHANGES_MAX + 1 }, () => CHANGE) });
    expect(site.gateway.counts()).toMatchObject({ offered: 2, limited: 2, shown: 0 });
    for (let i = 0; i < 300; i++) author.offer(TYPED);
    expect(viewer.seen).toHaveLength(250);
    expect(slow.seen).toHaveLength(0);
    expect(site.gateway.counts()).toMatchObject({ offered: 302, shown: 250, unread: 250, limited: 52 });
    // Another author has a pace of its own; what the others are told has one for all.
    site.client({ collections: [] }).offer(TYPED);
    expect([viewer.seen.length, site.published.length]).toEqual([251, 250]);
    while (site.clock.step(1_000));
    site.clock.after(1_000, () => undefined);
    while (site.clock.step(2_000));
    author.offer(TYPED);
    expect([viewer.seen.length, site.published.length]).toEqual([252, 251]);
    for (let i = 0; i < 100; i++) site.client();
    for (let i = 0; i < 50; i++) site.gateway.heard(TYPED);
    const { shown, unread } = site.gateway.counts();
    // Of the second before: 251 to each of the two.
    expect(shown + unread).toBe(2 * 251 + 4_000);
  });

  test("X1: between gateways another version, and what is too much, is refused by name", async () => {
    const encoded = encodeProvisional(TYPED);
    expect(decodeProvisional(encoded)).toEqual(TYPED);
    const other = encoded.slice();
    other[1] = 2;
    const codeOfRead = (bytes: Uint8Array) => codeOf(Promise.resolve(bytes).then(decodeProvisional));
    expect(await codeOfRead(other)).toBe("UNKNOWN_VERSION");
    const nine = Array.from({ length: PROVISIONAL_CHANGES_MAX + 1 }, () => CHANGE);
    for (const changes of [[LARGE], nine])
      expect(await codeOfRead(encodeProvisional({ ...TYPED, changes }))).toBe("MALFORMED_FRAME");
    for (let at = 0; at < encoded.length; at++)
      expect(await codeOfRead(encoded.slice(0, at))).toMatch(/MALFORMED_FRAME|UNKNOWN_VERSION/);
  });
});

describe("D5: over a connection", () => {
  const down = {
    subscription: { prefixes: [], collections: ["log"], mirrors: false },
    cursor: 0 as never,
    epoch: null,
    hash: null,
    held: { prefixes: [], collections: ["log"], mirrors: false },
    snapshot: null,
    record: null,
  };
  const push = (...commands: readonly ({ readonly kind: "change" } & ProvisionalChanges)[]) =>
    ({ kind: "pushCommands", from: 1 as never, lowWater: 1 as never, commands }) as const;
  const link = (digits: string) => linkId(digits.repeat(16));

  async function connected() {
    const world = new World();
    const site = await world.cluster("california");
    const [author, viewer, old] = [new Scripted(world, site), new Scripted(world, site), new Scripted(world, site)];
    await author.hello({ link: link("a1"), down: { ...down, provisional: true } });
    await viewer.hello({ link: link("a2"), down: { ...down, provisional: true } });
    await old.hello({ link: link("a3"), down });
    const shownTo = (child: Scripted) => child.heard.filter(({ kind }) => kind === "provisional");
    return { world, site, author, viewer, old, shownTo };
  }

  test("what a gateway has checked goes ahead of its commit to who asked for it, and to nobody else", async () => {
    const { site, author, viewer, old, shownTo } = await connected();
    await author.say(push({ kind: "change", ...TYPED }));
    expect([author, viewer, old].map((child) => shownTo(child).length)).toEqual([0, 1, 0]);
    // What it is subscribed to later counts then.
    const subscription = { prefixes: [], collections: [], mirrors: false };
    for (const child of [viewer, old]) await child.say({ kind: "subscribe", subscription });
    await author.say({ ...push({ kind: "change", ...TYPED }), from: 2 as never });
    expect([viewer, old].map((child) => shownTo(child).length)).toEqual([1, 0]);
    await viewer.listen();
    const kinds = viewer.heard.map(({ kind }) => kind);
    expect(kinds.indexOf("provisional")).toBeLessThan(kinds.indexOf("events"));
    expect(site.ledgerEvents).toHaveLength(1);
  });

  test("D1: what does not pass the check, may not be written, or comes with many others, is not shown", async () => {
    const { world, site, author, viewer, shownTo } = await connected();
    site.badChanges.add(CHANGE.hash);
    const many = Array.from({ length: PROVISIONAL_CHANGES_MAX + 1 }, (_, i) => ({
      kind: "change" as const,
      ...TYPED,
      document: `${i}`,
    }));
    await author.say(push({ kind: "change", ...TYPED }));
    site.badChanges.clear();
    await author.say({ ...push(...many), from: 2 as never });
    site.principal = () => ({ ...ANYBODY, mayWriteDocument: () => false });
    const reader = new Scripted(world, site);
    await reader.hello({ link: link("a4") });
    await reader.say(push({ kind: "change", ...TYPED }));
    expect(shownTo(viewer)).toEqual([]);
  });
});
