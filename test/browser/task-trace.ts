/** How much CPU each task of a page's main thread took, as Chromium traces it: what else runs on the machine does not count. */
import type { Page } from "playwright";
import { z } from "zod";

const CATEGORIES = "toplevel,devtools.timeline,disabled-by-default-devtools.timeline";
const eventSchema = z.object({
  name: z.string(),
  pid: z.number(),
  tid: z.number(),
  /** By the clock, µs. */
  dur: z.number().optional(),
  /** CPU of the thread, µs. In a virtual machine its clock may jump, to more than went by. */
  tdur: z.number().optional(),
  args: z.object({ name: z.string().optional() }).optional(),
});
type TraceEvent = z.infer<typeof eventSchema>;

/** Begins to trace; what it returns ends it, and tells of each task, ms. */
export async function traceTasks(page: Page): Promise<() => Promise<readonly number[]>> {
  const session = await page.context().newCDPSession(page);
  const events: TraceEvent[] = [];
  session.on("Tracing.dataCollected", ({ value }) => {
    for (const event of value) events.push(eventSchema.parse(event));
  });
  const complete = new Promise<void>((resolve) => session.once("Tracing.tracingComplete", () => resolve()));
  await session.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: { includedCategories: CATEGORIES.split(",") },
  });
  return async () => {
    await session.send("Tracing.end");
    await complete;
    const mains = events.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain");
    const tasks = mains.map(({ pid, tid }) =>
      events
        .filter((event) => event.name === "RunTask" && event.pid === pid && event.tid === tid)
        .map(({ dur = 0, tdur = 0 }) => Math.min(dur, tdur) / 1_000),
    );
    // Chromium keeps a renderer in reserve, which does next to nothing.
    return tasks.reduce((most, one) => (sum(one) > sum(most) ? one : most), []);
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
