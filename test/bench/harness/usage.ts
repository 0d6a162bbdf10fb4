/** CPU time, memory and disk of processes, as Linux counts them. */
import fs from "node:fs/promises";
import path from "node:path";

/** Kernel's clock ticks a second, as /proc counts CPU time: 100 on every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time that the processes have used so far together, ms; null where there is no /proc. */
export const cpuMs = async (pids: readonly number[]): Promise<number | null> =>
  sum(await Promise.all(pids.map(cpuMsOf)));

/** Mean resident memory of the processes, MB; null where there is no /proc. */
export async function rssMb(pids: readonly number[]): Promise<number | null> {
  const total = sum(await Promise.all(pids.map(rssMbOf)));
  return total === null ? null : total / pids.length;
}

/** Blocks that the files under a folder take, MB. */
export async function diskMb(folder: string): Promise<number> {
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  // A file may be gone by now: logs are cut all the time.
  const blocks = await Promise.all(files.map(async (file) => (await fs.stat(file).catch(() => null))?.blocks ?? 0));
  return blocks.reduce((total, count) => total + count, 0) / 2_048;
}

/** proc_pid_stat(5): utime and stime are fields 14 and 15, counted behind the command's closing parenthesis. */
async function cpuMsOf(pid: number): Promise<number | null> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields === undefined ? null : ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
}

async function rssMbOf(pid: number): Promise<number | null> {
  const status = await fs.readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) / 1_024;
}

const sum = (values: readonly (number | null)[]): number | null =>
  values.reduce<number | null>((total, value) => (total === null || value === null ? null : total + value), 0);
