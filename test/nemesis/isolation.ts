/**
 * Namespaces of our own (network, mounts, processes), so that whatever happens to us, the kernel takes links, mounts,
 * nodes and tracers away together with our first process: nothing is left on the machine, and two runs never meet.
 */
import { spawn } from "node:child_process";
import os from "node:os";
import process from "node:process";
import { succeeds } from "./command.ts";

const UNSHARE = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"] as const;

/** Null if we can have them, else why not. */
export async function withoutNamespacesBecause(): Promise<string | null> {
  if (process.platform !== "linux") return `${process.platform} has none`;
  if (process.getuid?.() !== 0) return "only root may make them";
  if (!(await succeeds("unshare", ...UNSHARE, "true"))) return "the kernel, or a container around us, forbids them";
  for (const tool of ["ip", "iptables", "tc", "nsenter"]) {
    if (!(await succeeds("which", tool))) return `${tool} is missing`;
  }
  return null;
}

/**
 * Runs this program again inside. Its standard input is our leash: when it ends, by a signal to us or by our death, the
 * one inside stops and tidies up. A process group of its own keeps the terminal's Ctrl-C for us alone.
 * @returns its exit code
 */
export function runInside(file: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn("unshare", [...UNSHARE, process.execPath, file, ...args], {
      stdio: ["pipe", "inherit", "inherit"],
      detached: true,
    });
    const release = (): void => void child.stdin.end();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, release);
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : os.constants.signals[signal])));
  });
}
