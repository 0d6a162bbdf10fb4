/** `openclaw command …`: writes whose home is elsewhere, and what became of them. */
import { setTimeout as sleep } from "node:timers/promises";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Command } from "commander";
import { z } from "zod";
import type { ApiClient } from "./client.ts";
import { clientOf, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";
import { table } from "./status.ts";

/** How long `wait` waits unless told, seconds; and between two looks, ms. */
const WAIT_SECONDS = 60;
const LOOK_MS_FIRST = 100;
const LOOK_MS_MAX = 2_000;

const Queued = z.looseObject({
  handle: z.string(),
  status: z.enum(["queued", "done", "failed"]),
  principal: z.string(),
  at: z.string(),
});
const Page = z.object({ commands: z.array(Queued), next: z.number().nullable() });
type Queued = z.infer<typeof Queued>;

export function addQueued(program: Command): void {
  const command = program
    .command("command")
    .description("writes that are queued for their home, and what became of them");
  reaching(command.command("list"))
    .description("all that are remembered, oldest first")
    .option("--json", "one JSON object a line")
    .addHelpText("after", examples("openclaw command list", "openclaw command list --json"))
    .action(async (options: Reach & { json?: boolean }) => {
      const commands = await all(clientOf(options));
      if (options.json === true) for (const one of commands) print(JSON.stringify(one));
      else print(table([["handle", "status", "at", "principal"], ...commands.map(cells)]).join("\n"));
    });
  reaching(command.command("status <handle>"))
    .description("what became of one, as JSON")
    .addHelpText("after", examples("openclaw command status shop.0.6f…2a.17"))
    .action(async (handle: string, options: Reach) => print(JSON.stringify(await statusOf(clientOf(options), handle))));
  reaching(command.command("wait <handle>"))
    .description("wait until one has run, and tell what became of it, as JSON")
    .option(
      "--timeout <seconds>",
      `give up after so long (${WAIT_SECONDS} s unless given); it stays queued`,
      wholeNumber,
    )
    .addHelpText("after", examples("openclaw command wait shop.0.6f…2a.17 --timeout 600"))
    .action(async (handle: string, options: Reach & { timeout?: number }) => {
      print(JSON.stringify(await waited(clientOf(options), handle, options.timeout ?? WAIT_SECONDS)));
    });
}

async function all(client: ApiClient): Promise<readonly Queued[]> {
  const found: Queued[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const page = Page.parse(await client.json({ method: "GET", path: `/v1/commands?after=${after}&limit=1000` }));
    found.push(...page.commands);
    after = page.next;
  }
  return found;
}

const statusOf = async (client: ApiClient, handle: string): Promise<Queued> =>
  Queued.parse(await client.json({ method: "GET", path: `/v1/commands/${encodeURIComponent(handle)}` }));

/** @throws OpenClawError UNAVAILABLE when the time is over */
async function waited(client: ApiClient, handle: string, seconds: number): Promise<Queued> {
  const deadline = performance.now() + 1_000 * seconds;
  for (let delay = LOOK_MS_FIRST; ; delay = Math.min(2 * delay, LOOK_MS_MAX)) {
    const now = await statusOf(client, handle);
    if (now.status !== "queued") return now;
    if (performance.now() + delay > deadline)
      throw new OpenClawError("UNAVAILABLE", `it is still queued after ${seconds} s, and runs when it gets there`);
    await sleep(delay);
  }
}

const cells = ({ handle, status, at, principal }: Queued): string[] => [handle, status, at, principal];
