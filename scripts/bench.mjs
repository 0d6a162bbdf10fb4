/** `npm run bench -- NAME [options]`: installs what is missing, bundles the node, then runs test/bench/NAME.ts. */
import fs from "node:fs";
import path from "node:path";
import { build } from "./build.mjs";
import { run } from "./child.mjs";
import { CannotGoOn, install, ROOT, script } from "./install.mjs";

const FOLDER = path.join(ROOT, "test", "bench");

const OPTIONS = `Options:
  --json       the last line is JSON: {"bench", "ours"}, with --vs also the others' figures and "ratio" (ours divided by theirs)
  --vs etcd    runs the same load on a three-node etcd beside us, by turns (Debian: apt-get install etcd-server)
  --vs nats    for uplink: a leaf node and a hub with a JetStream source, by turns (Debian: apt-get install nats-server)
  --vs automerge-repo,yjs
               for docs: either or both, with their own servers, by turns (they come with npm ci)
  --seconds N  length of a run, where a run has one
  --runs N     runs of each measurement; their median is told
  --keys N     keys that each cluster holds, where a benchmark fills it
  --help       this
`;

/** What a benchmark says of itself in its first comment. */
function described(name) {
  const text = fs.readFileSync(path.join(FOLDER, `${name}.ts`), "utf8");
  return /^\/\*\* (.+?) \*\/$/m.exec(text)?.[1] ?? "";
}

await script(async () => {
  const names = fs
    .readdirSync(FOLDER)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length));
  const list = names.map((name) => `  ${name.padEnd(11)}${described(name)}\n`).join("");
  const help = `Usage: npm run bench -- NAME [options]\n\nBenchmarks, of three nodes (uplink: of one at each tier) on loopback and values of 256 bytes (docs: documents of 10 KB):\n${list}\n${OPTIONS}`;
  const [name, ...args] = process.argv.slice(2);
  if (name === "--help" || args.includes("--help")) {
    process.stdout.write(help);
    return 0;
  }
  if (name === undefined || !names.includes(name)) throw new CannotGoOn(help);
  const node = await install();
  // Afresh each time: what is measured is what the sources say.
  await build(node);
  return run(node, [path.join(FOLDER, `${name}.ts`), ...args], { cwd: ROOT });
});
