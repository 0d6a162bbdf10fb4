/** Child processes of the scripts: output passed through or collected, signals passed on, exit codes kept. */
import { spawn } from "node:child_process";
import os from "node:os";
import { progressLine } from "./progress.mjs";

/** What is kept of a quiet child's output, to be shown if it fails. */
const OUTPUT_CHARS_MAX = 64_000;

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Runs a command on our own terminal until it ends, passing on the signals that we get. Ctrl-C reaches the child twice
 * on a terminal, once from there and once from us: it must take a second one for the same wish.
 * @returns {Promise<number>} the exit code; 128 + n when signal n ended it, as a shell says it
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit", ...options });
    const handlers = FORWARDED.map((signal) => [signal, () => child.kill(signal)]);
    for (const [signal, handler] of handlers) process.on(signal, handler);
    const release = () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    };
    child.once("error", (error) => {
      release();
      reject(error);
    });
    child.once("exit", (code, signal) => {
      release();
      resolve(code ?? 128 + (os.constants.signals[signal] ?? 0));
    });
  });
}

/**
 * Runs a command quietly behind a progress line. What it printed is shown only if it fails.
 * @param {(lastLine: string) => string} detail
 * @returns {Promise<boolean>} whether it succeeded
 */
export async function runQuietly(title, command, args, detail = () => "", options = {}) {
  let output = "";
  let lastLine = "";
  const line = progressLine(title, () => detail(lastLine));
  const code = await new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    const handlers = FORWARDED.map((signal) => [signal, () => child.kill(signal)]);
    for (const [signal, handler] of handlers) process.on(signal, handler);
    const take = (chunk) => {
      output = (output + chunk).slice(-OUTPUT_CHARS_MAX);
      lastLine = output.trimEnd().split("\n").at(-1) ?? "";
    };
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", take);
    const end = (status) => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
      resolve(status);
    };
    child.once("error", (error) => {
      output += `${error.message}\n`;
      end(127);
    });
    child.once("close", (status, signal) => end(status ?? 128 + (os.constants.signals[signal] ?? 0)));
  });
  line.done(code === 0 ? "ok" : `failed with exit code ${code}`);
  if (code !== 0) process.stderr.write(output.endsWith("\n") ? output : `${output}\n`);
  return code === 0;
}
