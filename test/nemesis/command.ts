/** Commands of the system that the faults are made of: ip, iptables, tc, mount, prlimit. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Ms that one of them may take. */
const COMMAND_MS = 20_000;

const execute = promisify(execFile);

/** @throws Error with what it printed when it fails */
export async function command(file: string, ...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await execute(file, args, { timeout: COMMAND_MS });
    return stdout;
  } catch (error) {
    const stderr = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
    throw new Error(`${[file, ...args].join(" ")}: ${stderr === "" ? String(error) : stderr}`, { cause: error });
  }
}

/** Whether the command is there and succeeds. */
export async function succeeds(file: string, ...args: readonly string[]): Promise<boolean> {
  try {
    await command(file, ...args);
    return true;
  } catch {
    return false; // that is the answer
  }
}
