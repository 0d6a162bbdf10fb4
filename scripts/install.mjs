/**
 * Brings a fresh clone to where everything runs: the packages of the lock file, the project's own Node.js among them.
 * Plain JavaScript, because it must run before there is anything else, on any Node.js from 20 on.
 */
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runQuietly } from "./child.mjs";

export const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** What runs TypeScript as it is, and what better-sqlite3 and libp2p ask for. */
const NODE_MAJOR = 24;

/** A reason that a person can act on; printed without a stack. */
export class CannotGoOn extends Error {}

/**
 * Installs what is missing.
 * @returns {Promise<string>} path of a Node.js that runs the project
 * @throws CannotGoOn
 */
export async function install() {
  if (!isInstalled()) {
    const expected = lockedPackages().filter(([, locked]) => fitsHere(locked)).length;
    const [command, ...args] = npmCommand();
    const ok = await runQuietly(
      "Installing dependencies (npm ci)",
      command,
      [...args, "ci", "--loglevel=error", "--no-progress"],
      () => `${unpackedPackages()} of about ${expected} packages`,
      { cwd: ROOT },
    );
    if (!ok)
      throw new CannotGoOn("npm ci failed; its output is above. Check the network and the disk, then try again.");
  }
  return projectNode();
}

/**
 * True if node_modules holds what package-lock.json asks for. npm leaves its own account of what it installed in
 * node_modules/.package-lock.json, written last: so an interrupted install is seen, and so is one done by hand.
 */
function isInstalled() {
  const installed = readJson(path.join(ROOT, "node_modules", ".package-lock.json"))?.packages;
  if (installed === undefined) return false;
  return lockedPackages().every(([name, locked]) => {
    const present = installed[name];
    if (present === undefined) return locked.optional === true;
    return present.version === locked.version && (locked.integrity ?? present.integrity) === present.integrity;
  });
}

function lockedPackages() {
  const { packages } = readJson(path.join(ROOT, "package-lock.json")) ?? {};
  if (packages === undefined) throw new CannotGoOn("package-lock.json is missing or damaged; restore it with git.");
  return Object.entries(packages).filter(([name]) => name.startsWith("node_modules/"));
}

const fitsHere = ({ os, cpu, libc }) =>
  [os ?? process.platform].flat().includes(process.platform) &&
  [cpu ?? process.arch].flat().includes(process.arch) &&
  !(libc ?? []).includes("musl");

/** npm as it runs us, so that the versions agree; else the one on the path. */
export function npmCommand() {
  const cli = process.env.npm_execpath;
  return cli?.endsWith("npm-cli.js") === true ? [process.execPath, cli] : ["npm"];
}

function unpackedPackages() {
  const folder = path.join(ROOT, "node_modules");
  let count = 0;
  for (const name of folderNames(folder)) {
    if (name.startsWith("@")) count += folderNames(path.join(folder, name)).length;
    else if (!name.startsWith(".")) count++;
  }
  return count;
}

function folderNames(folder) {
  try {
    return fs.readdirSync(folder);
  } catch {
    return []; // not there yet: npm is about to make it
  }
}

/** On Linux Node.js comes with the dependencies; elsewhere the one that runs us must be new enough. */
function projectNode() {
  const own = path.join(ROOT, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node");
  if (fs.existsSync(own)) return own;
  if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR) return process.execPath;
  throw new CannotGoOn(
    `OpenClaw runs on Node.js ${NODE_MAJOR} or newer, and this is ${process.version}. On Linux (x64, arm64) npm installs ` +
      `a fitting one with the dependencies, unless optional ones are left out (npm's "omit" setting); on ` +
      `${process.platform} ${process.arch} please install it from https://nodejs.org and run the command again.`,
  );
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch {
    return undefined; // absent or cut short: both mean "install"
  }
}

/** Runs a script's main function: its number is the exit code, and a reason is printed as a sentence. */
export async function script(main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof CannotGoOn)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
