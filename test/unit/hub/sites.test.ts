import { EMPTY_BYTES } from "@openclaw/core/bytes.ts";
import { type ClusterId, type Epoch, isClusterId, isLinkId, isNodeId, revision } from "@openclaw/core/ids.ts";
import type { LinkState } from "@openclaw/core/state-machine/query.ts";
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
const member = (site: string, number: number, at: number, leader: number | null, term = 1): HeardMember => ({
  cluster: cluster(site),
  node: checked(`${site}-${number}`, isNodeId),
  role: leader === number ? "leader" : "follower",
  leader: leader === null ? null : checked(`${site}-${leader}`, isNodeId),
  term,
  revision: revision(at),
  http: `http://127.0.0.1:${8_100 + number}`,
  at: 1_000 + number,
});

const sources: SiteSources = {
  enrolled: [cluster("california"), cluster("alaska")],
  links: [link("california", 40, epoch), link("a".repeat(32), 7, null), link("oregon", 3, epoch)],
  connected: new Set(["california"]),
  heard: [member("california", 2, 48, 1), member("california", 1, 50, 1), member("california", 3, 41, 3, 0)],
};

test("every enrolled site and every site with data is listed, and no client", () => {
  const views = viewSites(sources);
  expect(views.map((view) => [view.cluster, view.enrolled, view.connected])).toEqual([
    ["alaska", true, false],
    ["california", true, true],
    ["oregon", false, false],
  ]);
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
  const [view] = viewSites({ ...sources, enrolled: [], links: [link("california", 60, epoch)] });
  expect(view).toMatchObject({ lagRevisions: 0, siteRevision: 60 });
});

test("the watch tells when a cursor moved and how long a site has been ahead", () => {
  const watch = new SiteWatch();
  const at = (cursor: number, site: number) =>
    viewSites({
      enrolled: [],
      links: [link("california", cursor, epoch)],
      connected: new Set(),
      heard: [member("california", 1, site, 1)],
    });
  expect(watch.look(at(5, 5), 0, 100)[0]).toMatchObject({ lastShipped: null, lagSeconds: 0 });
  expect(watch.look(at(5, 9), 1_000, 101)[0]).toMatchObject({ lastShipped: null, lagSeconds: 0 });
  expect(watch.look(at(5, 12), 3_500, 102)[0]).toMatchObject({ lagSeconds: 2.5 });
  expect(watch.look(at(12, 12), 4_000, 103)[0]).toMatchObject({ lastShipped: 103, lagSeconds: 0 });
});
