import { EMPTY_BYTES } from "@openclaw/core/bytes.ts";
import { type ClusterId, type Epoch, isClusterId, isLinkId, isNodeId, revision } from "@openclaw/core/ids.ts";
import type { LinkState } from "@openclaw/core/state-machine/query.ts";
import type { Site } from "@openclaw/core/state-machine/site.ts";
import { type HeardMember, type SiteSources, SiteWatch, viewSites } from "@openclaw/hub/sites.ts";
import { expect, test } from "vitest";

function checked<T>(value: string, is: (value: unknown) => value is T): T {
  if (!is(value)) throw new Error(`not valid: ${value}`);
  return value;
}
const cluster = (name: string): ClusterId => checked(name, isClusterId);
const epoch: Epoch = { counter: 1, nonce: "0".repeat(32), parent: null, departure: revision(0) };

const link = (name: string, cursor: number, of: Epoch | null): LinkState => ({
  link: checked(name, isLinkId),
  cursor,
  hash: EMPTY_BYTES,
  epoch: of,
  ancestors: [],
  outcomes: [],
});
const member = (of: string, number: number, at: number, leader: number | null, term = 1): HeardMember => ({
  cluster: cluster(of),
  node: checked(`${of}-${number}`, isNodeId),
  role: leader === number ? "leader" : "follower",
  leader: leader === null ? null : checked(`${of}-${leader}`, isNodeId),
  term,
  revision: revision(at),
  http: `http://127.0.0.1:${8_100 + number}`,
  at: 1_000 + number,
});

const site = (name: string, state: Site["state"] = "approved"): Site => ({
  cluster: cluster(name),
  clusterKey: "1".repeat(64),
  token: "2".repeat(64),
  state,
  decidedBy: "ada",
  decidedAt: 7,
});

const sources: SiteSources = {
  registry: [site("california"), site("alaska", "pending"), site("oregon", "revoked")],
  links: [link("california", 40, epoch), link("a".repeat(32), 7, null), link("oregon", 3, epoch)],
  refused: new Map(),
  connected: new Set(["california"]),
  heard: [member("california", 2, 48, 1), member("california", 1, 50, 1), member("california", 3, 41, 3, 0)],
};

test("every site of the registry is listed with its state, and no client", () => {
  const views = viewSites(sources);
  expect(views.map((view) => [view.cluster, view.state, view.connected, view.cursor])).toEqual([
    ["alaska", "pending", false, 0],
    ["california", "approved", true, 40],
    // Revoked: what it shipped is kept.
    ["oregon", "revoked", false, 3],
  ]);
  expect(views[0]).toMatchObject({ clusterKey: "1".repeat(64), decidedBy: "ada", decidedAt: 7, refused: null });
});

test("who is refused and is no site of ours is told, the latest of many; of a site its refusals are", () => {
  const knocks = Array.from({ length: 100 }, (_, i) => [
    cluster(`stranger-${i}`),
    { count: 1, code: "UNKNOWN_CHILD", at: i } as const,
  ]);
  const pending = { count: 9, code: "SITE_PENDING", at: 3 } as const;
  const refused = new Map([...knocks, [cluster("alaska"), pending]] as [ClusterId, typeof pending][]);
  const views = viewSites({ ...sources, refused });
  expect(views.find((view) => view.cluster === "alaska")).toMatchObject({ state: "pending", refused: pending });
  const unknown = views.filter((view) => view.state === "unknown");
  expect(unknown).toHaveLength(64);
  expect(unknown.every((view) => (view.refused?.at ?? 0) >= 36 && view.clusterKey === null)).toBe(true);
});

test("lag, leader and members come from what the members say", () => {
  const california = viewSites(sources)[1];
  expect(california).toMatchObject({ cursor: 40, siteRevision: 50, lagRevisions: 10, leader: "california-1", epoch });
  expect(california?.members.map((row) => [row.node, row.role])).toEqual([
    ["california-1", "leader"],
    ["california-2", "follower"],
    ["california-3", "leader"],
  ]);
  expect(viewSites(sources)[0]).toMatchObject({
    siteRevision: null,
    lagRevisions: null,
    leader: null,
    cursor: 0,
    epoch: null,
  });
});

test("a cursor ahead of old gossip is no negative lag", () => {
  const [view] = viewSites({ ...sources, registry: [site("california")], links: [link("california", 60, epoch)] });
  expect(view).toMatchObject({ lagRevisions: 0, siteRevision: 60 });
});

test("the watch tells when a cursor moved and how long a site has been ahead", () => {
  const watch = new SiteWatch();
  const at = (cursor: number, theirs: number) =>
    viewSites({
      registry: [site("california")],
      refused: new Map(),
      links: [link("california", cursor, epoch)],
      connected: new Set(),
      heard: [member("california", 1, theirs, 1)],
    });
  expect(watch.look(at(5, 5), 0, 100)[0]).toMatchObject({ lastShipped: null, lagSeconds: 0 });
  expect(watch.look(at(5, 9), 1_000, 101)[0]).toMatchObject({ lastShipped: null, lagSeconds: 0 });
  expect(watch.look(at(5, 12), 3_500, 102)[0]).toMatchObject({ lagSeconds: 2.5 });
  expect(watch.look(at(12, 12), 4_000, 103)[0]).toMatchObject({ lastShipped: 103, lagSeconds: 0 });
});
