/** A device: one profile, and the Chromium process that has it until it is killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { type BrowserContext, chromium, type Page } from "playwright";
import { chromiumPath, FLAGS } from "../browser/chromium.ts";
import { BrowserLog } from "./browser-log.ts";
import type { Sighting } from "./oracle.ts";
import type { CyclePage } from "./page/main.ts";

/** Ms for a browser to start, or a page to open, on a busy machine. */
const OPEN_MS = 60_000;
/**
 * Files that a page is given while it is offline come from no address, and Chromium would not let that page connect to a
 * gateway on this machine (ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS) once it is online. A page that a service worker
 * keeps may (test/browser/fleet.test.ts).
 */
const ANY_ADDRESS = "--disable-features=LocalNetworkAccessChecks";
/** Tabs at once. */
export const TABS_MAX = 3;

declare global {
  var cyclePage: CyclePage | undefined;
}

interface Running {
  readonly child: ChildProcess;
  readonly context: BrowserContext;
}

export class Device {
  readonly #profile: string;
  readonly #folder: string;
  readonly #url: string;
  readonly #shown: (sightings: readonly Sighting[]) => void;
  readonly #log: BrowserLog;
  readonly #complaints: string[] = [];
  readonly #crashed = new WeakSet<Page>();
  #running: Running | null = null;
  #offline = false;

  /** @param shown told what its pages show */
  constructor(
    { profile, log }: { readonly profile: string; readonly log: string },
    page: { readonly folder: string; readonly url: string },
    shown: (sightings: readonly Sighting[]) => void,
  ) {
    this.#profile = profile;
    this.#log = new BrowserLog(log);
    this.#folder = page.folder;
    this.#url = page.url;
    this.#shown = shown;
  }

  /** What its pages threw. */
  get complaints(): readonly string[] {
    return this.#complaints;
  }

  get offline(): boolean {
    return this.#offline;
  }

  /** Those that are open and have not crashed. */
  get tabs(): readonly Page[] {
    const pages = this.#running?.context.pages() ?? [];
    return pages.filter((page) => page.url().startsWith(this.#url) && !this.#crashed.has(page));
  }

  /** Ends the tab's renderer, and with it every tab that shares it. */
  async crash(tab: Page): Promise<void> {
    const crashed = tab.waitForEvent("crash", { timeout: OPEN_MS });
    const session = await tab.context().newCDPSession(tab);
    // It never answers.
    session.send("Page.crash").catch(() => undefined);
    await crashed;
    for (const page of tab.context().pages()) if (this.#crashed.has(page)) await page.close();
  }

  /** A tab that is ready, in the browser that runs or a new one. */
  async open(): Promise<Page> {
    const { context } = this.#running ?? (await this.#launch());
    const tab = await context.newPage();
    await tab.goto(`${this.#url}/index.html`, { timeout: OPEN_MS });
    await this.ready(tab);
    return tab;
  }

  /** As the browser's own "Duplicate": the new tab begins with a copy of the other's sessionStorage. */
  async duplicate(tab: Page): Promise<void> {
    const opened = tab.context().waitForEvent("page", { timeout: OPEN_MS });
    await tab.evaluate(() => void window.open(location.href));
    await this.ready(await opened);
  }

  async ready(tab: Page): Promise<void> {
    await tab.waitForFunction(() => globalThis.cyclePage !== undefined, undefined, { timeout: OPEN_MS });
  }

  async setOffline(offline: boolean): Promise<void> {
    this.#offline = offline;
    if (this.#running !== null) await this.#offer(this.#running.context);
  }

  /** Into the browser's log. */
  note(text: string): void {
    this.#log.note(text);
  }

  /** Ends every process of the browser at once, as a power cut would. */
  kill(): Promise<void> {
    return this.#signal("SIGKILL");
  }

  /** Of a browser that was killed: as Chromium itself does when it finds one torn, with all that is beside it kept. */
  async loseDatabase(): Promise<void> {
    this.note("IndexedDB is deleted");
    await rm(path.join(this.#profile, "Default", "IndexedDB"), { recursive: true });
  }

  /** Every process stands still for a while: a lid that is closed, a machine that has no time. */
  async freeze(ms: number): Promise<void> {
    const pid = this.#running?.child.pid;
    if (pid === undefined) return;
    process.kill(-pid, "SIGSTOP");
    try {
      await new Promise((resolve) => setTimeout(resolve, ms));
    } finally {
      process.kill(-pid, "SIGCONT");
    }
  }

  /** The network, or nothing but the page's own files, as a service worker would have them. */
  async #offer(context: BrowserContext): Promise<void> {
    const files = `${this.#url}/**`;
    await context.unroute(files);
    if (this.#offline)
      await context.route(files, (route) => {
        const file = path.join(this.#folder, new URL(route.request().url()).pathname);
        return existsSync(file) ? route.fulfill({ path: file }) : route.abort("internetdisconnected");
      });
    await context.setOffline(this.#offline);
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    const running = this.#running;
    this.#running = null;
    if (running === null) return;
    const { child, context } = running;
    this.note(signal);
    const exited = new Promise((resolve) => child.once("exit", resolve));
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, signal);
      await exited;
    }
    await context.browser()?.close();
  }

  async #launch(): Promise<Running> {
    const own = [ANY_ADDRESS, "--disable-breakpad", "--enable-logging=stderr", "--remote-debugging-port=0"];
    const args = [...FLAGS, ...own, `--user-data-dir=${this.#profile}`];
    this.note("start");
    // A process group of its own, so that a kill takes its renderers with it.
    const child = spawn(chromiumPath(), [...args, "about:blank"], {
      stdio: ["ignore", "ignore", "pipe"],
      detached: true,
    });
    try {
      const browser = await chromium.connectOverCDP(await endpointOf(child, this.#log), { timeout: OPEN_MS });
      const [context] = browser.contexts();
      if (context === undefined) throw new Error("a browser without a context");
      await context.exposeBinding("cycleShown", (_source, sightings: readonly Sighting[]) => this.#shown(sightings));
      context.on("page", (page) => page.on("crash", () => this.#crashed.add(page)));
      context.on("weberror", (error) => this.#complaints.push(String(error.error())));
      this.#running = { child, context };
      await this.#offer(context);
      return this.#running;
    } catch (error) {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      throw error;
    }
  }
}

/** Where it listens for a debugger, as it says by itself. Whatever it says, then and later, is logged. */
function endpointOf(child: ChildProcess, log: BrowserLog): Promise<string> {
  return new Promise((resolve, reject) => {
    if (child.stderr === null) throw new Error("its stderr is not ours");
    let said = "nothing";
    const late = setTimeout(() => reject(new Error(`Chromium did not start; it said last: ${said}`)), OPEN_MS);
    createInterface(child.stderr).on("line", (line) => {
      log.line(line);
      said = line;
      const endpoint = /^DevTools listening on (\S+)/.exec(line)?.[1];
      if (endpoint === undefined) return;
      clearTimeout(late);
      resolve(endpoint);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`Chromium ended with ${code}; it said last: ${said}`)));
  });
}
