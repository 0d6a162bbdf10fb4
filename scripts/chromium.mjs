/** A real browser for the page's tests: Debian's chromium, or the one that CHROMIUM_PATH names. */
import fs from "node:fs";
import path from "node:path";
import { runQuietly } from "./child.mjs";
import { CannotGoOn } from "./install.mjs";

const NAMES = ["chromium", "google-chrome-stable", "google-chrome"];
const MAC_PLACES = [
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/**
 * Finds a browser, or installs one where that is possible.
 * @returns {Promise<string>} path of the executable
 * @throws CannotGoOn saying what to install
 */
export async function chromium() {
  const named = process.env.CHROMIUM_PATH;
  if (named !== undefined && named !== "") {
    if (isExecutable(named)) return named;
    throw new CannotGoOn(`CHROMIUM_PATH names ${named}, which is no executable file.`);
  }
  const present = find();
  if (present !== undefined) return present;
  if (process.getuid?.() === 0 && onPath("apt-get") !== undefined) {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const detail = (line) => line.slice(0, 60);
    const ok =
      (await runQuietly("Looking up packages (apt-get update)", "apt-get", ["update"], detail, { env })) &&
      (await runQuietly(
        "Installing Chromium (apt-get install)",
        "apt-get",
        ["install", "-y", "--no-install-recommends", "chromium"],
        detail,
        { env },
      ));
    const installed = find();
    if (ok && installed !== undefined) return installed;
  }
  throw new CannotGoOn(
    "A Chromium browser is needed and there is none. Install one (Debian, as root: apt-get update && apt-get install " +
      "-y --no-install-recommends chromium), or name one you have: CHROMIUM_PATH=/path/to/chromium.",
  );
}

function find() {
  for (const name of NAMES) {
    const found = onPath(name);
    if (found !== undefined) return found;
  }
  return process.platform === "darwin" ? MAC_PLACES.find(isExecutable) : undefined;
}

function onPath(name) {
  for (const folder of (process.env.PATH ?? "").split(path.delimiter)) {
    const file = path.join(folder, name);
    if (folder !== "" && isExecutable(file)) return file;
  }
  return undefined;
}

function isExecutable(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false; // not there, or not for us to run
  }
}
