/** "Acknowledged" means fsynced on a majority: watched from outside, by strace, on a real site of three. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startSite, temporaryFolder } from "./site.ts";

const CAN_ATTACH = spawnSync("strace", ["-f", "-e", "trace=fsync", "true"]).status === 0;
const PUTS = 20;

/** Attaches to a process and all its threads; resolves when it watches. */
async function watchSyncs(pid: number, file: string): Promise<ChildProcess> {
  const strace = spawn(
    "strace",
    ["-f", "-y", "-ttt", "-T", "-e", "trace=fsync,fdatasync", "-o", file, "-p", String(pid)],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  onTestFinished(() => void strace.kill("SIGKILL"));
  const threads = (await fs.readdir(`/proc/${pid}/task`)).length;
  let attached = 0;
  await new Promise<void>((resolve, reject) => {
    strace.once("exit", () => reject(new Error("strace could not attach")));
    strace.stderr?.on("data", (text: Buffer) => {
      // One line names the process "with N threads"; older versions print a line a thread.
      const many = /attached with (\d+) threads/.exec(String(text));
      attached += many === null ? (String(text).match(/attached/g)?.length ?? 0) : Number(many[1]);
      if (attached >= threads) resolve();
    });
  });
  return strace;
}

/** When syncs of the Raft log's segments ended, in seconds since 1970. */
async function syncEnds(file: string): Promise<readonly number[]> {
  const ends: number[] = [];
  const unfinished = new Map<string, number>();
  for (const line of (await fs.readFile(file, "utf8")).split("\n")) {
    const [, thread = "", at = "", call = ""] = /^(\d+) +(\d+\.\d+) (.*)$/.exec(line) ?? [];
    const took = Number(/<(\d+\.\d+)>$/.exec(line)?.[1] ?? Number.NaN);
    if (/^f(?:data)?sync\(/.test(call) && call.includes(".segment>")) {
      if (call.includes("<unfinished")) unfinished.set(thread, Number(at));
      else if (/= 0 </.test(call)) ends.push(Number(at) + took);
    } else if (call.startsWith("<... f") && unfinished.has(thread)) {
      if (/= 0 </.test(call)) ends.push((unfinished.get(thread) ?? 0) + took);
      unfinished.delete(thread);
    }
  }
  return ends;
}

const epochSeconds = (): number => (performance.timeOrigin + performance.now()) / 1_000;

test.skipIf(!CAN_ATTACH)(
  "R4: a majority's logs are fsynced between a put and its acknowledgement (needs strace)",
  async () => {
    const nodes = await startSite(3);
    const folder = await temporaryFolder();
    const [entry] = nodes;
    const put = async (i: number): Promise<void> => {
      const response = await fetch(`${entry?.http}/v1/kv/fsync%2F${i}`, { method: "PUT", body: "x" });
      expect(response.status).toBe(200);
      await response.arrayBuffer();
    };
    await put(0);
    const traces = nodes.map(({ node }) => path.join(folder, node));
    const watchers = await Promise.all(nodes.map(({ process }, i) => watchSyncs(process.pid ?? 0, traces[i] ?? "")));
    const spans: { readonly from: number; readonly to: number }[] = [];
    for (let i = 1; i <= PUTS; i++) {
      const from = epochSeconds();
      await put(i);
      spans.push({ from, to: epochSeconds() });
    }
    await Promise.all(
      watchers.map((strace) => {
        const ended = new Promise((resolve) => strace.once("exit", resolve));
        strace.kill("SIGINT");
        return ended;
      }),
    );
    const ends = await Promise.all(traces.map(syncEnds));
    const synced = spans.map(
      ({ from, to }) => ends.filter((node) => node.some((end) => end >= from && end <= to)).length,
    );
    expect(synced).toHaveLength(PUTS);
    expect(Math.min(...synced)).toBeGreaterThanOrEqual(2);
  },
);
