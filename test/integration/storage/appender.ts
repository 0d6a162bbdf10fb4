/**
 * A process to be watched, starved or killed: appends entries to the log of a folder one after the other, and says on
 * stdout `ask N` before each append, `ack N` after it, `failed N CODE` when it is refused (then it tries twice more).
 *
 *   node appender.ts FOLDER COUNT [TEXT_BYTES]
 */
import { writeSync } from "node:fs";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isClusterId, isNodeId } from "@openclaw/core/ids.ts";
import { SegmentLogStore } from "@openclaw/edge-runtime/storage/log-store.ts";
import { entryAt, hardState } from "../../contracts/log-store.ts";

const [dataDir = "", count = "0", bytes = "300"] = process.argv.slice(2);
const [cluster, node]: readonly string[] = ["california", "california-1"];
if (!isClusterId(cluster) || !isNodeId(node)) throw new Error("names");
/** Not console.log: a line is out before the next append begins, whatever becomes of the process. */
const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};

const log = new SegmentLogStore({ dataDir, cluster, node });
const { entries } = await log.open();
let last = entries.length;
say(`opened ${last}`);
let refusals = 0;
while (last < Number(count) && refusals < 3) {
  const at = last + 1;
  say(`ask ${at}`);
  try {
    await log.append(hardState(1, node, last), [entryAt(at, 1, "x".repeat(Number(bytes)))]);
    last = at;
    say(`ack ${at}`);
  } catch (error) {
    refusals++;
    say(`failed ${at} ${error instanceof OpenClawError ? error.code : String(error)}`);
    if (!(error instanceof OpenClawError)) break;
  }
}
try {
  await log.close();
  say("closed");
} catch (error) {
  say(`failed close ${error instanceof OpenClawError ? error.code : String(error)}`);
}
