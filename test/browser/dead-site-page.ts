/** The demo's page, in a device of its own for each test, served where no gateway of its site is alive. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrowserContext } from "playwright";
import { afterEach, beforeAll, beforeEach } from "vitest";
import { buildPage } from "../../demo/build-page.ts";
import { launchChromium } from "./chromium.ts";
import { DEAD_SITE } from "./dead-site.ts";
import { type StaticServer, serveFolder } from "./static-server.ts";

export interface DeadSitePage {
  /** Gone after the test. */
  readonly folder: string;
  readonly server: StaticServer;
  readonly context: BrowserContext;
}

/** For all tests of the file that calls it; what is returned holds what the present test has. */
export function deadSitePage(): DeadSitePage {
  let dist: string;
  const present: { -readonly [Part in keyof DeadSitePage]?: DeadSitePage[Part] } = {};
  const part = <Part extends keyof DeadSitePage>(name: Part): DeadSitePage[Part] => {
    const value = present[name];
    if (value === undefined) throw new Error(`no test has a ${name} now`);
    return value;
  };
  beforeAll(async () => {
    dist = await buildPage();
  });
  beforeEach(async () => {
    present.folder = await mkdtemp(join(tmpdir(), "openclaw-page-"));
    present.server = await serveFolder(dist, { "/v1/gateways": DEAD_SITE });
    present.context = await launchChromium(join(present.folder, "profile"));
  });
  afterEach(async () => {
    await present.context?.close();
    await present.server?.stop();
    if (present.folder !== undefined) await rm(present.folder, { recursive: true, force: true });
  });
  return {
    get folder() {
      return part("folder");
    },
    get server() {
      return part("server");
    },
    get context() {
      return part("context");
    },
  };
}
