/** `npm run check-history -- FILE…`: the command line over `checkHistory`. */
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { checkHistory, DEFAULT_BUDGET, type Verdict } from "./check.ts";
import { explanation } from "./explanation.ts";
import { HistoryError } from "./history.ts";
import { readHistoryFile } from "./history-file.ts";

export interface Surroundings {
  readonly print: (line: string) => void;
  readonly warn: (line: string) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Also for a file that holds no history, and for wrong usage. */
export const EXIT_UNKNOWN = 2;

const EXIT_CODES: Readonly<Record<Verdict, number>> = {
  linearizable: 0,
  "not linearizable": 1,
  unknown: EXIT_UNKNOWN,
};

const MB = 1024 * 1024;

const HELP = `
Formats, told apart by their lines:
  INFO  jepsen.util - PROCESS :invoke|:ok|:fail|:info :read|:write|:cas nil|N|[FROM TO]|:timed-out
    one register, at first nil; a failed cas saw that the value was not FROM
  {:process 0, :type :invoke|:ok|:fail|:info, :f :get|:put|:append|:delete|:cas, :key "k", :value nil|"v"|[nil|"v" nil|"v"]}
    one map a line in the order of real time; keys are at first the empty string, which is nil
  :info means that the outcome is unknown: it takes effect at any later time or never.

Prints "FILE: linearizable", "FILE: not linearizable" or "FILE: unknown" (the budget was used up).
Exit codes: 0 linearizable, 1 not linearizable, 2 unknown, or a file that cannot be read; of several files the highest.

Examples:
  npm run check-history -- history.log
  npm run check-history -- --explain --time 10 *.edn`;

interface Options {
  readonly time: number;
  readonly memory: number;
  readonly json?: true;
  readonly explain?: true;
}

/** @returns the exit code */
export function checkHistoryCommand(args: readonly string[], { print, warn, now }: Surroundings): number {
  let exitCode = 0;
  const command = new Command("check-history")
    .description("Check whether histories of a register or of a key-value store are linearizable.")
    .argument("<file...>", "files that hold a history")
    .option("--time <seconds>", "budget for a file", positive, DEFAULT_BUDGET.milliseconds / 1_000)
    .option("--memory <MB>", "budget for what the search of one key remembers", positive, DEFAULT_BUDGET.bytes / MB)
    .option("--json", "one JSON object a file")
    .option("--explain", "say what does not fit, or what used up the budget; finding it has a budget of its own")
    .addHelpText("after", HELP)
    .exitOverride()
    .configureOutput({ writeOut: (text) => print(text.trimEnd()), writeErr: (text) => warn(text.trimEnd()) })
    .action((files: string[], options: Options) => {
      for (const file of files) exitCode = Math.max(exitCode, checkFile(file, options, { print, warn, now }));
    });
  try {
    command.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : EXIT_UNKNOWN;
  }
  return exitCode;
}

function checkFile(file: string, options: Options, { print, warn, now }: Surroundings): number {
  try {
    const began = now();
    const operations = readHistoryFile(file);
    const budget = { now, milliseconds: options.time * 1_000, bytes: options.memory * MB };
    const result = checkHistory(operations, budget);
    const ms = Math.round(now() - began);
    const reasons = options.explain === true ? explanation(result, "line", budget) : [];
    if (options.json === true) {
      const unknownOutcomes = operations.filter(({ returned }) => returned === null).length;
      const { verdict } = result;
      const counts = { operations: operations.length, unknownOutcomes, ms };
      print(JSON.stringify({ file, verdict, ...counts, ...(options.explain === true ? { reasons } : {}) }));
    } else {
      print(`${file}: ${result.verdict}`);
      for (const reason of reasons) print(`  ${reason}`);
    }
    return EXIT_CODES[result.verdict];
  } catch (error) {
    if (!(error instanceof HistoryError)) throw error;
    if (options.json === true) print(JSON.stringify({ file, error: error.message }));
    warn(error.message);
    return EXIT_UNKNOWN;
  }
}

function positive(text: string): number {
  const number = Number(text);
  if (!/^\d{1,9}(\.\d+)?$/.test(text) || number === 0) throw new InvalidArgumentError("a number above 0, please");
  return number;
}
