/** One node of the fleet: a process of its own, its log in a file, started again when it dies unasked. */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Refusal } from "./refusal.ts";

export interface NodeSpec {
  readonly name: string;
  /** Arguments of this Node.js: the program and its own. */
  readonly args: readonly string[];
  /** A command that becomes this Node.js somewhere else, without a process in between: `nsenter`. */
  readonly within?: readonly string[];
  readonly logFile: string;
  /** Base URL of its HTTP API. */
  readonly http: string;
}

export interface NodeObserver {
  /** What happens to a node unasked, in words. */
  report(text: string): void;
  /** It has a new process. */
  started(): void;
}

/** Ms until a node must be ready: opening its stores, and an election, beside others on a busy machine. One that dies is seen at once. */
const READY_MS = 120_000;
const READY_POLL_MS = 50;
/** Ms it gets to stop by itself. */
const STOP_MS = 10_000;
/** Ms before a node that died is started again: doubled at every death, reset once it lived long enough. */
const RESTART_MS = { first: 500, most: 10_000, resetAfter: 30_000 };
/** Lines of the log that are shown when a node does not start. */
const LOG_LINES = 15;

export class NodeProcess {
  readonly name: string;
  readonly http: string;
  readonly logFile: string;
  readonly #command: readonly [string, ...string[]];
  readonly #observer: NodeObserver;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  /** What we want of it; a death that we did not ask for is a crash, and who is retired is not started again. */
  #wanted: "running" | "dead" | "retired" = "dead";
  #restartMs = RESTART_MS.first;
  #restart: NodeJS.Timeout | undefined;

  constructor(spec: NodeSpec, observer: NodeObserver) {
    this.name = spec.name;
    this.http = spec.http;
    this.logFile = spec.logFile;
    const [enter, ...how] = spec.within ?? [];
    this.#command =
      enter === undefined ? [process.execPath, ...spec.args] : [enter, ...how, process.execPath, ...spec.args];
    this.#observer = observer;
  }

  /** Null while it is dead. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** @throws Refusal when the fleet is being stopped */
  start(): void {
    if (this.#wanted === "retired") throw new Refusal(`${this.name} is not started: the fleet stops`);
    this.#wanted = "running";
    const log = fs.openSync(this.logFile, "a");
    const startedAt = performance.now();
    // A process group of its own: Ctrl-C on the terminal is ours to pass on.
    const [file, ...args] = this.#command;
    const child = spawn(file, args, { stdio: ["ignore", log, log], detached: true });
    fs.closeSync(log);
    this.#child = child;
    this.#observer.started();
    this.#exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        this.#child = null;
        resolve();
        if (this.#wanted !== "running") return;
        if (performance.now() - startedAt > RESTART_MS.resetAfter) this.#restartMs = RESTART_MS.first;
        this.#observer.report(
          `${this.name} ${how}; starting it again in ${this.#restartMs} ms. Its log: ${this.logFile}`,
        );
        this.#restart = setTimeout(() => this.start(), this.#restartMs);
        this.#restartMs = Math.min(2 * this.#restartMs, RESTART_MS.most);
      };
      child.once("error", (error) => ended(`could not be started (${error.message})`));
      child.once("exit", (code, signal) =>
        ended(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`),
      );
    });
  }

  /** Resolves when it answers /readyz. @throws Refusal with the end of its log when it dies first or takes too long */
  async ready(signal?: AbortSignal): Promise<void> {
    const deadline = performance.now() + READY_MS;
    while (performance.now() < deadline) {
      signal?.throwIfAborted();
      if (this.#child === null) throw new Refusal(`${this.name} ended before it was ready. ${this.#endOfLog()}`);
      if (await answersReady(this.http)) return;
      await sleep(READY_POLL_MS);
    }
    throw new Refusal(`${this.name} was not ready after ${READY_MS / 1_000} s. ${this.#endOfLog()}`);
  }

  /** Ends it at once, as a power cut would, and does not start it again. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#wanted = "dead";
    clearTimeout(this.#restart);
    this.#child?.kill("SIGKILL");
    await this.#exited;
  }

  /** Lets it stop in good order. */
  stop(): Promise<void> {
    return this.#end("dead");
  }

  /** The same, for good. */
  retire(): Promise<void> {
    return this.#end("retired");
  }

  async #end(wanted: "dead" | "retired"): Promise<void> {
    this.#wanted = wanted;
    clearTimeout(this.#restart);
    this.#child?.kill("SIGTERM");
    const late = setTimeout(() => {
      this.#observer.report(`${this.name} did not stop within ${STOP_MS / 1_000} s and is killed`);
      this.#child?.kill("SIGKILL");
    }, STOP_MS);
    await this.#exited;
    clearTimeout(late);
  }

  #endOfLog(): string {
    const lines = fs.readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-LOG_LINES);
    return `The end of ${this.logFile}:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  }
}

async function answersReady(http: string): Promise<boolean> {
  try {
    const response = await fetch(`${http}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false; // not listening yet
  }
}
