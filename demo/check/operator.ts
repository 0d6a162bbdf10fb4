/** An operator at a site: a headless browser of its own on a gateway's page, typing one agent's part of a trace. */
import { type Browser, type BrowserContext, chromium, type Page } from "playwright";
import { Refusal } from "../refusal.ts";
import type { Patch } from "./trace.ts";

/** A transaction to be typed. A parent is a change's hash, or the place of an earlier transaction of the same run. */
export interface Typed {
  readonly patches: readonly Patch[];
  readonly parents: readonly (string | number)[];
}

/** What the page offers to whoever drives it (demo/page/demo-hooks.ts), as far as an operator needs it. */
interface DemoPage {
  /** Applies transactions at the heads given, one after the other; resolves when they are on this device, with their hashes. */
  playRun(run: readonly Typed[]): Promise<readonly string[]>;
  text(): string;
  heads(): readonly string[];
  /** Edits that the site has not taken yet. */
  unsynced(): number;
  /** Changes of the log that this device may not have stored yet. */
  unstored(): number;
  changeHashes(): readonly string[];
  /** Of a change of the log; null while it is on none. */
  rung(hash: string): string | null;
  readonly client: { readonly link: string; status(): { readonly link: string; readonly lastError: Error | null } };
}

export interface OperatorState {
  readonly text: string;
  readonly heads: readonly string[];
  /** Of every change, sorted. */
  readonly hashes: readonly string[];
  readonly unsynced: number;
  /** What the client says of its link, for people. */
  readonly link: string;
}

declare global {
  /** Set by the page, in the browser. */
  var openclawDemo: DemoPage | undefined;
}

/** Containers have neither a sandbox nor a GPU; and nothing but the page is to use the network. */
const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync"],
];
/** Playwright would end this process at once, with the fleet still running: cleaning up is ours. */
const OUR_SIGNALS = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
const LOAD_MS = 30_000;
/** Ms between two looks at whether what was waited for is there. */
const LOOK_MS = 10;

export class Operator {
  readonly site: string;
  readonly #browser: Browser;
  readonly #context: BrowserContext;
  readonly #page: Page;
  readonly #complaints: string[] = [];

  private constructor(site: string, browser: Browser, context: BrowserContext, page: Page) {
    this.site = site;
    this.#browser = browser;
    this.#context = context;
    this.#page = page;
    page.on("pageerror", (error) => this.#complaints.push(error.message));
  }

  /** Starts a browser. @throws Refusal when there is none */
  static async launch(site: string): Promise<Operator> {
    const executablePath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
    const browser = await chromium.launch({ executablePath, args: FLAGS, ...OUR_SIGNALS }).catch((error: Error) => {
      throw new Refusal(
        `No browser could be started (${executablePath}); CHROMIUM_PATH names another. ${error.message}`,
      );
    });
    const context = await browser.newContext();
    return new Operator(site, browser, context, await context.newPage());
  }

  /** What the page complained of. */
  get complaints(): readonly string[] {
    return this.#complaints;
  }

  /** Opens a gateway's page and waits until it can be typed into. */
  async open(url: string): Promise<void> {
    await this.#page.goto(url, { timeout: LOAD_MS });
    await this.#page.waitForFunction(() => globalThis.openclawDemo !== undefined, undefined, { timeout: LOAD_MS });
  }

  async goOffline(): Promise<void> {
    await this.#context.setOffline(true);
  }

  async goOnline(): Promise<void> {
    await this.#context.setOffline(false);
  }

  /** Types a run, each transaction at its parents' heads, as fast as this device stores it. @returns their hashes */
  type(run: readonly Typed[]): Promise<readonly string[]> {
    return this.#page.evaluate(async (transactions) => {
      if (globalThis.openclawDemo === undefined) throw new Error("the page is gone");
      return globalThis.openclawDemo.playRun(transactions);
    }, run);
  }

  /** Resolves when the document here has all of these among its heads. @throws Error when it does not get there */
  async sees(heads: readonly string[], timeoutMs: number): Promise<void> {
    const seen = await this.#page.evaluate(
      async ({ wanted, limit, look }) => {
        const until = performance.now() + limit;
        for (;;) {
          const now = globalThis.openclawDemo?.heads() ?? [];
          if (wanted.every((head) => now.includes(head))) return true;
          if (performance.now() > until) return false;
          await new Promise((resolve) => setTimeout(resolve, look));
        }
      },
      { wanted: heads, limit: timeoutMs, look: LOOK_MS },
    );
    if (seen) return;
    const complaints = this.complaints.length === 0 ? "" : `; it complained: ${this.complaints.join("; ")}`;
    throw new Error(
      `the browser at ${this.site} did not see ${heads.map((head) => head.slice(0, 8)).join("+")} within ` +
        `${timeoutMs / 1_000} s${complaints}`,
    );
  }

  state(): Promise<OperatorState> {
    return this.#page.evaluate(() => {
      const page = globalThis.openclawDemo;
      if (page === undefined) throw new Error("the page is gone");
      return {
        text: page.text(),
        heads: page.heads(),
        unsynced: page.unsynced(),
        hashes: page.changeHashes(),
        link: JSON.stringify(page.client.status()),
      };
    });
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}
