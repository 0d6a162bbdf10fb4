/** What a benchmark starts: processes and temporary folders, all gone when it ends, however it ends. */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** Lines of a log that are shown when its process does not start. */
const LOG_LINES = 15;

export class Workbench {
  readonly #processes: BenchProcess[] = [];
  readonly #folders: string[] = [];

  /** Runs `body`; afterwards, and also on Ctrl-C, every process is killed and every folder removed. */
  static async use<T>(body: (workbench: Workbench) => Promise<T>): Promise<T> {
    const workbench = new Workbench();
    const interrupted = (signal: (typeof SIGNALS)[number]): void => {
      workbench.#clear().finally(() => process.exit(128 + os.constants.signals[signal]));
    };
    for (const signal of SIGNALS) process.on(signal, interrupted);
    try {
      return await body(workbench);
    } finally {
      await workbench.#clear();
      for (const signal of SIGNALS) process.off(signal, interrupted);
    }
  }

  folder(): string {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "openclaw-bench-"));
    this.#folders.push(folder);
    return folder;
  }

  /**
   * A process that is not started yet.
   * @param heard what a Node.js program sends; only with it can one send to the program, too
   */
  process(
    command: string,
    args: readonly string[],
    logFile: string,
    heard: ((message: unknown) => void) | null = null,
  ): BenchProcess {
    const made = new BenchProcess(command, args, logFile, heard);
    this.#processes.push(made);
    return made;
  }

  async #clear(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.kill()));
    for (const folder of this.#folders) fs.rmSync(folder, { recursive: true, force: true });
  }
}

export class BenchProcess {
  readonly #command: string;
  readonly #args: readonly string[];
  readonly #logFile: string;
  readonly #heard: ((message: unknown) => void) | null;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();

  constructor(command: string, args: readonly string[], logFile: string, heard: ((message: unknown) => void) | null) {
    this.#command = command;
    this.#args = args;
    this.#logFile = logFile;
    this.#heard = heard;
  }

  /** Null while it does not run. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Resolves when what was started last is gone. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  start(): void {
    const log = fs.openSync(this.#logFile, "a");
    const channel = this.#heard === null ? [] : ["ipc" as const];
    // A process group of its own: Ctrl-C on the terminal is the workbench's to act on.
    const child = spawn(this.#command, this.#args, { stdio: ["ignore", log, log, ...channel], detached: true });
    fs.closeSync(log);
    if (this.#heard !== null) child.on("message", this.#heard);
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      const ended = (): void => {
        this.#child = null;
        resolve();
      };
      child.once("error", ended);
      child.once("exit", ended);
    });
  }

  /** Lost when it is gone. */
  send(message: object): void {
    this.#child?.send(message, () => undefined);
  }

  /** Ends it at once, as kill -9 does. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#exited;
  }

  endOfLog(): string {
    const lines = fs.readFileSync(this.#logFile, "utf8").trimEnd().split("\n").slice(-LOG_LINES);
    return `The end of ${this.#logFile}:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  }
}
