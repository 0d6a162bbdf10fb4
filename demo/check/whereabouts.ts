/** When a change does not arrive: who has it, and how the links stand. For the person who has to find out why. */
import type { Fleet } from "../fleet.ts";
import type { Operator } from "./operator.ts";
import { documentAt, statusOf } from "./status.ts";

/** One line each for every node and browser. Never fails: it is asked when something already has. */
export async function whereabouts(fleet: Fleet, operators: readonly Operator[]): Promise<string> {
  const nodes = fleet.nodes.map(async ({ name, http }) => {
    const [document, status] = await Promise.all([documentAt(http), statusOf(http)]);
    const { role, leader, applied, revision, parent } = status;
    return `${name}: ${role} (leader ${leader}), applied ${applied}, revision ${revision}, uplink ${JSON.stringify(parent)}, document at ${short(document?.heads)}`;
  });
  const browsers = operators.map(async (operator) => {
    const { heads, unsynced, link } = await operator.state();
    return `browser at ${operator.site}: document at ${short(heads)}, ${unsynced} unsynced, link ${link}`;
  });
  const lines = await Promise.allSettled([...nodes, ...browsers]);
  return lines
    .map((line) => (line.status === "fulfilled" ? line.value : `no answer: ${String(line.reason)}`))
    .join("\n");
}

const short = (heads: readonly string[] | undefined): string =>
  heads?.map((head) => head.slice(0, 8)).join("+") ?? "nothing";
