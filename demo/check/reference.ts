/** What the document must come to: the same transactions, in one process, with no network and no disk. */
import * as Automerge from "@automerge/automerge";
import type { Patch, Transaction } from "./trace.ts";

interface Page {
  text: string;
}

/** The text after these transactions, each applied by its agent at its parents' heads, and then everything merged. */
export function referenceText(transactions: readonly Transaction[]): string {
  const start = Automerge.change(Automerge.init<Page>({ actor: "00".repeat(16) }), { time: 0 }, (page) => {
    page.text = "";
  });
  const empty = Automerge.save(start);
  const root = Automerge.getHeads(start);
  const agents = new Map<number, { page: Automerge.Doc<Page>; taken: number }>();
  const played: { readonly change: Automerge.Change; readonly hash: string; readonly agent: number }[] = [];

  for (const [i, { agent, parents, patches }] of transactions.entries()) {
    const own = agents.get(agent) ?? { page: Automerge.load<Page>(empty, { actor: actorOf(agent) }), taken: 0 };
    const others = played.slice(own.taken, i).filter((other) => other.agent !== agent);
    if (others.length > 0) {
      [own.page] = Automerge.applyChanges(
        own.page,
        others.map(({ change }) => change),
      );
    }
    const heads = parents.length === 0 ? root : parents.flatMap((parent) => played[parent]?.hash ?? []);
    own.page = typeAt(own.page, heads, patches);
    own.taken = i + 1;
    agents.set(agent, own);
    const change = Automerge.getLastLocalChange(own.page);
    if (change === undefined) throw new Error(`transaction ${i} changes nothing`);
    played.push({ change, hash: Automerge.decodeChange(change).hash, agent });
  }
  const merged = [...agents.values()].reduce((page, other) => Automerge.merge(page, other.page), start);
  return merged.text;
}

/** An agent's actor: any will do, as no two inserts of a trace are concurrent at one place. */
const actorOf = (agent: number): string => (agent + 1).toString(16).padStart(2, "0").repeat(16);

function typeAt(page: Automerge.Doc<Page>, heads: Automerge.Heads, patches: readonly Patch[]): Automerge.Doc<Page> {
  const type = (draft: Page): void => {
    for (const [position, deleted, inserted] of patches) {
      Automerge.splice(draft, ["text"], position, deleted, inserted);
    }
  };
  const now = Automerge.getHeads(page);
  const isNow = now.length === heads.length && heads.every((head) => now.includes(head));
  // `change` gives the same as `changeAt` the present heads, at a tenth of the cost.
  return isNow ? Automerge.change(page, { time: 0 }, type) : Automerge.changeAt(page, heads, { time: 0 }, type).newDoc;
}
