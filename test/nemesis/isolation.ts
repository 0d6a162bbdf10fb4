/**
 * Namespaces of our own (network, mounts, processes), so that whatever happens to us, the kernel takes links, mounts,
 * nodes and tracers away together with our first process: nothing is left on the machine, and two runs never meet.
 */
import { spawn } from "node:child_process";
import os from "node:os";
import process from "node:process";
import { succeeds } from "./command.ts";

/** They break a run off. */
export const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** As a shell says it. */
export const exitCodeOf = (signal: NodeJS.Signals): number => 128 + os.constants.signals[signal];

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
 * @returns its exit code; 128 + n after signal n to us
 */
export function runInside(file: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn("unshare", [...UNSHARE, process.execPath, file, ...args], {
      stdio: ["pipe", "inherit", "inherit"],
      detached: true,
    });
    let brokenOff: NodeJS.Signals | null = null;
    const release = (signal: NodeJS.Signals): void => {
      brokenOff ??= signal;
      child.stdin.end();
    };
    // For good: npm passes on a Ctrl-C that the terminal has sent us as well.
    for (const signal of SIGNALS) process.on(signal, release);
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      const by = brokenOff ?? signal;
      resolve(by === null ? (code ?? 0) : exitCodeOf(by));
    });
  });
}
