/** The `openclaw` command and its help. A tier with a node of its own (the hub) brings what its nodes add. */
import { Buffer } from "node:buffer";
import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { VALUE_BYTES_MAX } from "@openclaw/core/limits.ts";
import { Command, Option } from "commander";
import { percentEncoded } from "../api/url-bytes.ts";
import type { NodeOptions } from "../node.ts";
import { addBackup } from "./backup.ts";
import { addCompact } from "./compact.ts";
import { addExport } from "./export.ts";
import { EXIT } from "./failure.ts";
import { addHistory } from "./history.ts";
import { addHome } from "./home.ts";
import { addInit } from "./init.ts";
import { addJoin } from "./join.ts";
import { addLedger } from "./ledger.ts";
import { addMember, addMoveLeader } from "./member.ts";
import { addQueued } from "./queued.ts";
import { clientOf, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";
import { keyPath, type Moment, momentOptions, queryText, type Reading, readingOptions, readQuery } from "./reading.ts";
import { addRestore } from "./restore.ts";
import { addSite } from "./site.ts";
import { statusText } from "./status.ts";
import { addSync } from "./sync.ts";
import { addToken } from "./token.ts";
import { untilReady, WAIT_SECONDS } from "./wait.ts";
import { watch } from "./watch.ts";

export interface ProgramOptions {
  readonly name?: string;
  readonly description?: string;
  readonly node?: NodeOptions;
}

export function createProgram({ name = "openclaw", description, node = {} }: ProgramOptions = {}): Command {
  const program = new Command(name)
    .description(description ?? "Persistent state for the edge: nodes, keys and documents")
    .showHelpAfterError("(add --help for the options and examples)")
    .helpCommand(true)
    .addHelpText(
      "after",
      examples(
        `${name} init --cluster shop --nodes 3 --dir ./shop`,
        `${name} node start --config ./shop/shop-1/config.yaml`,
        `${name} put till/1 open`,
        `${name} watch till/`,
      ) +
        `\nExit codes: ${EXIT.done} done, ${EXIT.refused} refused, ${EXIT.usage} usage, ${EXIT.retry} try again, ${EXIT.notFound} no such key`,
    );
  addInit(program, name);
  addJoin(program, name, node);
  addMember(program, name);
  addMoveLeader(program);
  addToken(program);
  addSite(program, name);
  addSync(program, name);
  addNode(program, node);
  addPut(program);
  addGet(program);
  addDelete(program);
  addList(program);
  addHistory(program);
  addCompact(program);
  addHome(program);
  addQueued(program);
  addWatch(program);
  addStatus(program);
  addLedger(program);
  addExport(program);
  addBackup(program);
  addRestore(program, name);
  return program;
}

function addNode(program: Command, options: NodeOptions): void {
  const node = program.command("node").description("run a node");
  node
    .command("start")
    .description("run a node in the foreground until Ctrl-C")
    .requiredOption("--config <file>", "the node's configuration")
    .addHelpText("after", examples("openclaw node start --config ./shop/shop-1/config.yaml"))
    .action(async ({ config }: { config: string }) => {
      // Loaded only here: the other commands need neither libp2p nor SQLite.
      const { runNode } = await import("./node-start.ts");
      await runNode(config, options);
    });
}

function addPut(program: Command): void {
  reaching(program.command("put <key> [value]"))
    .description("put a value; without one, or with -, it is read from standard input")
    .option(
      "--expected <revision>",
      "only if the key is at this revision; 0: only if there is no such key",
      wholeNumber,
    )
    .option("--origin <cluster>", "write to the keys of this cluster below: queued, see openclaw command")
    .addHelpText(
      "after",
      examples(
        "openclaw put till/1 open",
        "openclaw put till/1 closed --expected 17",
        "openclaw put logo - < logo.png",
        "openclaw put desired/till-1 open --origin shop",
      ),
    )
    .action(async (key: string, value: string | undefined, options: Reach & { expected?: number; origin?: string }) => {
      const body = value === undefined || value === "-" ? await standardInput() : utf8(value);
      const query = queryText([
        ["expected", options.expected === undefined ? undefined : String(options.expected)],
        ["origin", options.origin === undefined ? undefined : encodeURIComponent(options.origin)],
      ]);
      const answer = await clientOf(options).json({ method: "PUT", path: `${keyPath(key)}${query}`, body });
      print(JSON.stringify(answer));
    });
}

function addGet(program: Command): void {
  momentOptions(readingOptions(reaching(program.command("get <key>"))))
    .description("write a value's bytes to standard output")
    .option("--verbose", "write its revisions, and how stale they may be, to standard error")
    .addHelpText(
      "after",
      examples(
        "openclaw get till/1",
        "openclaw get till/1 --consistency local --verbose",
        "openclaw get till/1 --revision 17",
        "openclaw get logo --time 2026-11-28T09:00:00Z > logo.png",
        "openclaw get quakes/nc73 --origin california",
      ),
    )
    .action(async (key: string, options: Reach & Reading & Moment & { verbose?: boolean }) => {
      const { body, headers } = await clientOf(options).call({
        method: "GET",
        path: `${keyPath(key)}${readQuery(options)}`,
      });
      process.stdout.write(body);
      if (process.stdout.isTTY) process.stdout.write("\n");
      if (options.verbose === true) {
        for (const part of ["mod-revision", "create-revision", "version", "revision", "position", "stale-ms"]) {
          process.stderr.write(`${part} ${String(headers[`x-openclaw-${part}`])}\n`);
        }
      }
    });
}

function addDelete(program: Command): void {
  reaching(program.command("delete <key>"))
    .description("delete a key")
    .option("--origin <cluster>", "of the keys of this cluster below: queued, see openclaw command")
    .addHelpText("after", examples("openclaw delete till/1", "openclaw delete desired/till-1 --origin shop"))
    .action(async (key: string, options: Reach & { origin?: string }) => {
      const query = queryText([
        ["origin", options.origin === undefined ? undefined : encodeURIComponent(options.origin)],
      ]);
      print(JSON.stringify(await clientOf(options).json({ method: "DELETE", path: `${keyPath(key)}${query}` })));
    });
}

function addList(program: Command): void {
  momentOptions(readingOptions(reaching(program.command("list [prefix]"))))
    .description("list keys and values, one JSON object a line")
    .option("--limit <rows>", "at most so many", wholeNumber, 1_000)
    .addHelpText(
      "after",
      examples(
        "openclaw list till/",
        "openclaw list quakes/ --origin california --limit 10",
        "openclaw list quakes/ --origin '*'",
      ),
    )
    .action(async (prefix: string | undefined, options: Reach & Reading & Moment & { limit: number }) => {
      const query = readQuery(options, [
        ["prefix", percentEncoded(utf8(prefix ?? ""))],
        ["limit", String(options.limit)],
      ]);
      const answer = (await clientOf(options).json({ method: "GET", path: `/v1/kv${query}` })) as {
        rows: unknown[];
        more: boolean;
      };
      for (const row of answer.rows) print(JSON.stringify(row));
      if (answer.more) process.stderr.write("there is more; raise --limit\n");
    });
}

interface WatchFlags {
  from?: number;
  origin?: string;
  filter?: string;
  previous?: boolean;
  json?: boolean;
}

function addWatch(program: Command): void {
  reaching(program.command("watch [prefix]"))
    .description("follow the changes of a prefix until Ctrl-C, across restarts of nodes")
    .option("--from <revision>", "begin there instead of now", wholeNumber)
    .option("--origin <cluster>", "the mirror of this cluster's keys; * for every origin")
    .addOption(new Option("--filter <kind>", "leave out puts or deletes").choices(["noput", "nodelete"]))
    .option("--previous", "with --json: tell what was under the key before, too")
    .option("--json", "one JSON object a line")
    .addHelpText(
      "after",
      examples(
        "openclaw watch till/",
        "openclaw watch quakes/ --from 1 --json",
        "openclaw watch --endpoint http://10.0.0.5:8101 --endpoint http://10.0.0.6:8101",
      ),
    )
    .action(async (prefix: string | undefined, options: Reach & WatchFlags) => {
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
      const query = queryText([
        ["prefix", percentEncoded(utf8(prefix ?? ""))],
        ["from", options.from === undefined ? undefined : String(options.from)],
        ["origin", options.origin === undefined ? undefined : encodeURIComponent(options.origin)],
        ["filter", options.filter],
        ["previous", options.previous === true ? "true" : undefined],
      ]);
      await watch(clientOf(options), {
        path: `/v1/watch${query}`,
        json: options.json === true,
        write: print,
        warn: (line) => void process.stderr.write(`${line}; trying again\n`),
        signal: stop.signal,
      });
    });
}

function addStatus(program: Command): void {
  reaching(program.command("status"))
    .description("where a node and its cluster stand")
    .option("--hash", "also hash the node's whole state")
    .option("--json", "as JSON")
    .option("--wait [seconds]", "first wait until the node answers and knows a leader (30 s unless given)", wholeNumber)
    .addHelpText(
      "after",
      examples(
        "openclaw status",
        "openclaw status --wait",
        "openclaw status --hash --json --endpoint http://127.0.0.1:8102",
      ),
    )
    .action(async (options: Reach & { hash?: boolean; json?: boolean; wait?: number | true }) => {
      const path = `/v1/status${options.hash === true ? "?hash=true" : ""}`;
      const client = clientOf(options);
      if (options.wait !== undefined) await untilReady(client, options.wait === true ? WAIT_SECONDS : options.wait);
      const answer = await client.json({ method: "GET", path });
      print(options.json === true ? JSON.stringify(answer) : statusText(answer));
    });
}

async function standardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > VALUE_BYTES_MAX) throw new OpenClawError("VALUE_TOO_LARGE");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
