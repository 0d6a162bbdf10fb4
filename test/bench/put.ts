/**
 * `npm run bench -- put [--json]`: puts of 256 bytes into a fresh site of three nodes, by 1, 16, 64 and 256 callers, over
 * HTTP and by the native client, all to the leader. Medians of three. The last line is JSON; progress goes to stderr.
 */
import { parseArgs } from "node:util";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { HttpPut } from "./harness/http-put.ts";
import { type Figures, measure, medianOf } from "./harness/load.ts";
import { type BenchSite, startSite } from "./harness/site.ts";

const VALUE_BYTES = 256;
const CALLERS = [1, 16, 64, 256];
const RUNS = 3;

const { values } = parseArgs({
  options: { json: { type: "boolean" }, seconds: { type: "string", default: "3" }, help: { type: "boolean" } },
});
const durationMs = Number(values.seconds) * 1_000;
/** Long enough for connections, sessions and compilers to settle. */
const warmUpMs = Math.min(1_000, durationMs);
const say = (text: string): void => void process.stderr.write(`${text}\n`);

interface Putter {
  put(key: string, value: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

type Api = "native" | "http";

const putters: Readonly<Record<Api, (site: BenchSite, callers: number) => Promise<Putter>>> = {
  native: async (site) => {
    const client = await openClaw({ gateways: site.leaderAddresses });
    return {
      // What a caller over HTTP waits for, too: a majority of the site has it on disk.
      put: async (key, value) => void (await client.kv.put(key, value).site),
      close: () => client.stop(),
    };
  },
  http: async (site, callers) => {
    const client = new HttpPut(site.leader, callers);
    return { put: (key, value) => client.put(key, value), close: async () => client.close() };
  },
};

async function bench(api: Api): Promise<{ readonly figures: Record<string, Figures>; readonly rssMb: number | null }> {
  const figures: Record<string, Figures> = {};
  const site = await startSite(say);
  try {
    // Numbers stand for nothing here, so let the value be as hard to compress as one.
    const value = crypto.getRandomValues(new Uint8Array(VALUE_BYTES));
    let key = 0;
    for (const callers of CALLERS) {
      const putter = await putters[api](site, callers);
      try {
        const call = (): Promise<void> => putter.put(`bench/${key++}`, value);
        await measure(site, callers, warmUpMs, call);
        const runs: Figures[] = [];
        for (let run = 0; run < RUNS; run++) runs.push(await measure(site, callers, durationMs, call));
        const median = medianOf(runs);
        figures[`c${callers}`] = median;
        const { perSec, p50Ms, p99Ms } = median;
        say(`${api}, ${callers} callers: ${perSec} puts/s, p50 ${p50Ms} ms, p99 ${p99Ms} ms`);
      } finally {
        await putter.close();
      }
    }
    return { figures, rssMb: await site.rssMb() };
  } finally {
    await site.stop();
  }
}

if (values.help === true) {
  process.stdout.write(
    "Usage: npm run bench -- put [--json] [--seconds N]\n\n--seconds N  length of one of the three runs (default: 3)\n",
  );
} else {
  const http = await bench("http");
  const native = await bench("native");
  const rssMbPerNode = Math.round(Math.max(http.rssMb ?? 0, native.rssMb ?? 0));
  const line = { bench: "put", ours: { native: native.figures, http: http.figures }, rssMbPerNode };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
