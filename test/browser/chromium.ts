/** A real Chromium for tests, with a profile of its own that may outlive the process. */
import { existsSync } from "node:fs";
import { type BrowserContext, chromium, type Page } from "playwright";

export const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function chromiumPath(): string {
  const path = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
  if (!existsSync(path)) throw new Error(`no Chromium at ${path}: apt-get install chromium, or set CHROMIUM_PATH`);
  return path;
}

/**
 * @param profile a folder; the same one again is the same device
 * @param serviceWorkers one runs in the process of some page, and would be stopped with it
 * @param flags besides those that all have
 */
export function launchChromium(
  profile: string,
  serviceWorkers: "allow" | "block" = "allow",
  flags: readonly string[] = [],
): Promise<BrowserContext> {
  return chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath(),
    args: [...FLAGS, ...flags],
    serviceWorkers,
    viewport: { width: 1_280, height: 900 },
    reducedMotion: "reduce",
  });
}

/** Everything a page complained about: errors thrown, and what it logged as an error. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("pageerror", (error) => found.push(String(error)));
  page.on("console", (message) => {
    // A gateway that is down is reported by the browser itself, as a failed request; that is not the page's error.
    if (
      message.type() === "error" &&
      !/ERR_CONNECTION|ERR_INTERNET_DISCONNECTED|WebSocket connection to/.test(message.text())
    ) {
      found.push(message.text());
    }
  });
  return found;
}
