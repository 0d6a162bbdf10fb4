/** What the nemesis finds when a hub does not have what its site has. */
import { expect, test } from "vitest";
import { mirrored, type ReadLedger } from "../../nemesis/ledgers.ts";

const own = (revision: number, told = `told ${revision}`) => ({ revision, origin: null, keys: [], told });
const taken = (revision: number, of: number, told = `told ${of}`) => ({
  ...own(revision, told),
  origin: { cluster: "site", revision: of },
});
const ledger = (cluster: string, records: ReadLedger["records"]): ReadLedger => ({ cluster, records, findings: [] });

const site = ledger("site", [own(1), taken(2, 9), own(3), own(4)]);
const all = (): boolean => true;

test("L4: a mirror that has each revision once, in order, as it was written, is whole", () => {
  const hub = ledger("hub", [own(1), taken(2, 1), taken(3, 3), own(4), taken(5, 4)]);
  expect(mirrored(site, hub, all)).toEqual({ revisions: 3, lost: 0, doubled: 0, altered: 0, findings: [] });
});

test("L4: what is missing, doubled, out of order or altered is counted and named", () => {
  const hub = ledger("hub", [taken(1, 3), taken(2, 1), taken(3, 3, "something else"), taken(4, 2)]);
  expect(mirrored(site, hub, all)).toEqual({
    ...{ revisions: 3, lost: 1, doubled: 3, altered: 2 },
    findings: [
      "hub took revision 1 of site at 2, after 3",
      "hub took revision 3 of site at 3, after 3",
      "hub's revision 3 is not site's 3",
      "hub took revision 2 of site at 4, after 3",
      "hub's revision 4 is not site's 2",
      "hub lacks revision 4 of site",
    ],
  });
});

test("S4: what is not subscribed to may be missing", () => {
  const hub = ledger("hub", [taken(1, 1), taken(2, 3)]);
  expect(mirrored(site, hub, ({ revision }) => revision < 4)).toMatchObject({ lost: 0, findings: [] });
});
