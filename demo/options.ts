/** What `npm start --` takes. */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Refusal } from "./refusal.ts";

export interface Options {
  readonly help: boolean;
  readonly check: boolean;
  readonly json: boolean;
  readonly fresh: boolean;
  readonly keep: boolean;
  readonly folder: string;
  /** Further networks, each a site. */
  readonly sites: readonly string[];
  readonly quakes: string;
  readonly speed: number;
  readonly trace: string;
  readonly transactions: number | null;
  readonly beforeVerify: string | null;
}

const data = (name: string): string => fileURLToPath(new URL(`../test/data/${name}`, import.meta.url));
const FOLDER = fileURLToPath(new URL("../.openclaw/fleet", import.meta.url));
const TRANSACTIONS = 1_000;
/** The week in a minute and a half. */
const SPEED = (7 * 24 * 3_600) / 90;

export const HELP = `Usage: npm start -- [options]

Starts a hub of three nodes and two sites (california, alaska) of three gateways each, every node a process of its own,
replays a week of earthquakes into the sites, and runs until Ctrl-C. Data is kept in .openclaw/fleet between runs.

  --fresh              wipe the fleet's data and keys first
  --sites nn,pr        further seismic networks, each as a site of its own
  --quakes FILE        earthquakes as GeoJSON (default: test/data/earthquakes.json)
  --speed N            how many times faster than they happened (default: ${Math.round(SPEED)}, a week in a minute and a half)
  --folder FOLDER      where the fleet lives

  --check              instead, run the whole story unattended in a temporary folder on free ports, and end: exit 0 only
                       if nothing was lost, doubled or reordered, and everybody holds the same. Its last line is JSON
  --trace FILE         what the two operators type (default: test/data/friendsforever.json.gz)
  --transactions N     how many of its transactions, or "all" (default: ${TRANSACTIONS})
  --json               print nothing but that JSON line
  --keep               leave the temporary folder, to look into it
  --before-verify FILE for tests of the check: a module whose default export gets the fleet before it is verified

  --help               this text
`;

/** @throws Refusal */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parse(args);
  return {
    help: values.help ?? false,
    check: values.check ?? false,
    json: values.json ?? false,
    fresh: values.fresh ?? false,
    keep: values.keep ?? false,
    folder: values.folder ?? FOLDER,
    sites: values.sites?.split(",").filter((network) => network !== "") ?? [],
    quakes: values.quakes ?? data("earthquakes.json"),
    speed: values.speed === undefined ? SPEED : positive("--speed", values.speed),
    trace: values.trace ?? data("friendsforever.json.gz"),
    transactions: transactionsOf(values.transactions, values.trace !== undefined),
    beforeVerify: values["before-verify"] ?? null,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean", short: "h" },
        check: { type: "boolean" },
        json: { type: "boolean" },
        fresh: { type: "boolean" },
        keep: { type: "boolean" },
        folder: { type: "string" },
        sites: { type: "string" },
        quakes: { type: "string" },
        speed: { type: "string" },
        trace: { type: "string" },
        transactions: { type: "string" },
        "before-verify": { type: "string" },
      },
    });
  } catch (error) {
    throw new Refusal(`${error instanceof Error ? error.message : String(error)}\nTry: npm start -- --help`);
  }
}

/** Another trace is played whole unless a number is named. */
function transactionsOf(text: string | undefined, ownTrace: boolean): number | null {
  if (text === undefined) return ownTrace ? null : TRANSACTIONS;
  return text === "all" ? null : Math.floor(positive("--transactions", text));
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Refusal(`${option} takes a number above 0, not "${text}"`);
  return value;
}
