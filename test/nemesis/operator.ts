/** The operator: what a person does with the `openclaw` command, from wherever the clients are or on one of the boxes. */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { PROGRAM, type RealCluster } from "./cluster.ts";

/** Ms for one command: a join looks for members for a minute. */
const COMMAND_MS = 90_000;
/** Ms between two tries. */
const AGAIN_MS = 500;
/** Exit code of what may be tried again. */
const RETRY = 3;

const execute = promisify(execFile);

export interface Errand {
  readonly args: readonly string[];
  /** A command that becomes another one on a box; empty: where the clients are. */
  readonly within: readonly string[];
  /** Base URLs of nodes, asked in this order. */
  readonly endpoints: readonly string[];
}

export class Operator {
  readonly #token: string;
  readonly #signal: AbortSignal;

  /** @param signal ends every command */
  constructor({ token }: Pick<RealCluster, "token">, signal: AbortSignal) {
    this.#token = token;
    this.#signal = signal;
  }

  /**
   * What the command printed, tried again while it says that this may help.
   * @throws Error with its exit code and what it said, when it is refused, or still fails after `patienceMs`
   */
  async run({ args, within, endpoints }: Errand, patienceMs: number): Promise<string> {
    const [file = process.execPath, ...rest] = [...within, process.execPath, PROGRAM, ...args];
    const env = { ...process.env, OPENCLAW_TOKEN: this.#token, OPENCLAW_ENDPOINT: endpoints.join(",") };
    for (const deadline = performance.now() + patienceMs; ; await sleep(AGAIN_MS)) {
      try {
        const options = { env, timeout: COMMAND_MS, signal: this.#signal, killSignal: "SIGKILL" } as const;
        return (await execute(file, rest, options)).stdout;
      } catch (error) {
        this.#signal.throwIfAborted();
        const { code, stderr } = told(error);
        // Killed for its time: nothing is known, as with a failure that may pass.
        if ((code === RETRY || code === null) && performance.now() < deadline) continue;
        throw new Error(`openclaw ${args.join(" ")} ended with ${code}: ${stderr}`, { cause: error });
      }
    }
  }
}

function told(error: unknown): { readonly code: number | null; readonly stderr: string } {
  if (!(error instanceof Error)) throw error;
  const code = "code" in error && typeof error.code === "number" ? error.code : null;
  return { code, stderr: "stderr" in error ? String(error.stderr).trim() : error.message };
}
