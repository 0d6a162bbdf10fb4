/** What nodes died of: of a disk that we broke they may, of nothing else. */
import fs from "node:fs/promises";
import type { RealCluster } from "./cluster.ts";

/** What a program that gives up prints: one of our codes, or what Node.js says of an error that nobody caught. */
const LAST_WORDS = /^(?:([A-Z][A-Z_]+): |\w*Error(?: \[\w+\])?: |FATAL ERROR|# Fatal)/;
/** What `slow-disk`, `full-disk` and `file-limit` may lead to. */
const EXPECTED: readonly string[] = ["STORAGE_FULL", "STORAGE_FAILED"];
const FINDINGS_MAX = 10;

/** Unexpected ends of nodes, in words. */
export async function unexpectedEnds(cluster: RealCluster): Promise<readonly string[]> {
  const findings: string[] = [];
  for (const { name, process } of cluster.everyone) {
    const log = await fs.readFile(process.logFile, "utf8");
    for (const line of lastWords(log)) findings.push(`${name} ended: ${line} (its log: ${process.logFile})`);
  }
  return findings.slice(0, FINDINGS_MAX);
}

/** Log records are JSON; what else stands there came from a process that ended or is about to. */
export function lastWords(log: string): readonly string[] {
  return log.split("\n").filter((line) => {
    const match = LAST_WORDS.exec(line);
    return match !== null && !EXPECTED.includes(match[1] ?? "");
  });
}
