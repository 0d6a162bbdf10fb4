/** The `openclaw` command as a person runs it: to its end, or in the background until the test is over. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import fs from "node:fs";
import { promisify } from "node:util";
import { expect, onTestFinished } from "vitest";
import { OPENCLAW } from "./site.ts";

export interface Where {
  readonly cwd: string;
  /** What stands in front of the command, such as `ip netns exec NAME`. */
  readonly inside?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Far beyond what it takes: a busy machine needs seconds to load the command alone. */
const COMMAND_MS_MAX = 180_000;

function full({ inside = [] }: Where, args: readonly string[]): readonly [string, readonly string[]] {
  const [program = "", ...rest] = [...inside, process.execPath, OPENCLAW, ...args];
  return [program, rest];
}

/** What it printed. @throws Error with its exit code and what it said, when it failed */
export async function openclaw(where: Where, ...args: readonly string[]): Promise<string> {
  const [program, rest] = full(where, args);
  const env = { ...process.env, ...where.env };
  const { stdout } = await promisify(execFile)(program, rest, { cwd: where.cwd, env, timeout: COMMAND_MS_MAX });
  return stdout;
}

/** Its exit code and what it said, when it is to fail. */
export async function refusal(where: Where, ...args: readonly string[]): Promise<string> {
  const failed: unknown = await openclaw(where, ...args).then(
    (output) => new Error(`it did not fail: ${output}`),
    (error: unknown) => error,
  );
  if (failed instanceof Error && "stderr" in failed) return String(failed.stderr);
  throw failed;
}

export class Background {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly exited: Promise<number | null>;

  constructor(where: Where, logFile: string, ...args: readonly string[]) {
    const [program, rest] = full(where, args);
    const log = fs.openSync(logFile, "a");
    this.#logFile = logFile;
    this.#child = spawn(program, rest, {
      cwd: where.cwd,
      env: { ...process.env, ...where.env },
      stdio: ["ignore", log, log],
    });
    fs.closeSync(log);
    this.exited = new Promise((resolve) => this.#child.once("exit", (code) => resolve(code)));
    onTestFinished(() => this.kill());
  }

  get output(): string {
    return fs.readFileSync(this.#logFile, "utf8");
  }

  /** Resolves when its output has it; fails at once when it ends first. */
  async says(text: RegExp, timeoutMs = 60_000): Promise<void> {
    const look = () => `${this.#child.exitCode === null ? "runs" : "ended"}: ${this.output}`;
    await expect.poll(look, { timeout: timeoutMs, interval: 100 }).toMatch(text);
  }

  /** As a power cut would. `ip netns exec` becomes the command itself: there is no process in between. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }

  async terminate(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    return this.exited;
  }
}
