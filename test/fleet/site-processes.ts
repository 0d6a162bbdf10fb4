/** The processes that hold the sites of a run. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FromSites, ToSites } from "./messages.ts";

const PROGRAM = fileURLToPath(new URL("./sites.ts", import.meta.url));

type Count = Extract<FromSites, { kind: "counted" }>;

export class SiteProcesses {
  readonly #children: readonly ChildProcess[];
  readonly #failed = Promise.withResolvers<never>();

  /** Sites are dealt out among `processes`. */
  constructor(configs: readonly string[], processes: number) {
    // Whoever counts hears of it.
    this.#failed.promise.catch(() => {});
    this.#children = Array.from({ length: processes }, (_, at) => {
      const child = fork(PROGRAM, [], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
      child.on("message", (message: FromSites) => {
        if (message.kind === "failed") this.#failed.reject(new Error(message.reason));
      });
      child.once("exit", (code) => this.#failed.reject(new Error(`a process of sites ended with ${code}`)));
      send(child, { kind: "start", configs: configs.filter((_config, i) => i % processes === at) });
      return child;
    });
  }

  get pids(): readonly number[] {
    return this.#children.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  load(putsPerSecond: number, valueBytes: number): void {
    for (const child of this.#children) send(child, { kind: "load", putsPerSecond, valueBytes });
  }

  /** All of them together. */
  async count(): Promise<Omit<Count, "kind">> {
    const counts = await Promise.all(this.#children.map((child) => this.#countOf(child)));
    return {
      connected: counts.reduce((sum, { connected }) => sum + connected, 0),
      puts: counts.reduce((sum, { puts }) => sum + puts, 0),
      failed: counts.reduce((sum, { failed }) => sum + failed, 0),
      apart: counts.flatMap(({ apart }) => apart),
    };
  }

  stop(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }

  #countOf(child: ChildProcess): Promise<Count> {
    const counted = new Promise<Count>((resolve) => {
      const take = (message: FromSites): void => {
        if (message.kind !== "counted") return;
        child.off("message", take);
        resolve(message);
      };
      child.on("message", take);
    });
    send(child, { kind: "count" });
    return Promise.race([counted, this.#failed.promise]);
  }
}

const send = (child: ChildProcess, message: ToSites): void => void child.send(message);
