/** Whether a rival is installed. */
import { execFileSync } from "node:child_process";

/** The first line of what a command says of its version; null where it is not installed. */
export function versionOf(command: string): string | null {
  try {
    return execFileSync(command, ["--version"], { encoding: "utf8" }).split("\n")[0] ?? "";
  } catch {
    return null;
  }
}
