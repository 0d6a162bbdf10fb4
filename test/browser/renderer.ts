/** The process that runs a page, for tests that stop it. Chromium does not tell it: it is the one that works when the page does. */
import { readdirSync, readFileSync } from "node:fs";
import type { Page } from "playwright";

const WORK_MS = 1_000;

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  /** Clock ticks in user mode. */
  readonly ticks: number;
}

/** @param profile the browser's folder */
export async function rendererOf(page: Page, profile: string): Promise<number> {
  const before = new Map(renderers(profile).map(({ pid, ticks }) => [pid, ticks]));
  await page.evaluate((ms) => {
    const end = performance.now() + ms;
    while (performance.now() < end);
  }, WORK_MS);
  const worked = renderers(profile).map(({ pid, ticks }) => ({ pid, ticks: ticks - (before.get(pid) ?? ticks) }));
  const [most] = worked.sort((a, b) => b.ticks - a.ticks);
  if (most === undefined) throw new Error("the browser has no renderer");
  return most.pid;
}

function renderers(profile: string): readonly Process[] {
  const all = processes();
  const ours = new Set(
    all.filter(({ command }) => command.includes(`--user-data-dir=${profile}\0`)).map(({ pid }) => pid),
  );
  // Parents stand before their children often enough, and not always.
  for (let size = -1; size !== ours.size; ) {
    size = ours.size;
    for (const { pid, parent } of all) if (ours.has(parent)) ours.add(pid);
  }
  return all.filter(({ pid, command }) => ours.has(pid) && command.includes("--type=renderer"));
}

function processes(): readonly Process[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      // The name in parentheses may hold anything.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8");
      return [{ pid: Number(name), parent: Number(fields[1]), command, ticks: Number(fields[11]) }];
    } catch {
      // It ended meanwhile.
      return [];
    }
  });
}
