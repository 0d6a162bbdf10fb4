/** What the commands share: how a node is reached, how options are read, how examples and lines are printed. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { ApiClient } from "./client.ts";

const ENDPOINT = "http://127.0.0.1:8101";

export interface Reach {
  readonly endpoint: readonly string[];
  readonly token?: string;
}

export function reaching(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--endpoint <url>",
        "a node's HTTP address; repeat it, and the next is tried when one cannot be reached",
      )
        .env("OPENCLAW_ENDPOINT")
        .default([ENDPOINT], ENDPOINT)
        .argParser((value: string, before: string[]) => [
          ...(before[0] === ENDPOINT ? [] : before),
          ...value.split(","),
        ]),
    )
    .addOption(
      new Option("--token <jwt>", "a bearer token; better in the environment, where other users do not see it").env(
        "OPENCLAW_TOKEN",
      ),
    );
}

/** For what reads all of a node's past: an hour without an answer. */
const PATIENT = { answerMs: 3_600_000, silenceMs: 60_000 };
export const patientClientOf = ({ endpoint, token }: Reach): ApiClient =>
  new ApiClient(endpoint, token ?? null, PATIENT);

export const clientOf = ({ endpoint, token }: Reach): ApiClient => new ApiClient(endpoint, token ?? null);

export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("a whole number, please");
  return Number(text);
}

export const collected = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

export const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;

export const print = (line: string): void => void process.stdout.write(`${line}\n`);
