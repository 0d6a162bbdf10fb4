/** `npm run bench -- NAME [options]`: installs what is missing, then runs test/bench/NAME.ts. */
import fs from "node:fs";
import path from "node:path";
import { run } from "./child.mjs";
import { CannotGoOn, install, ROOT, script } from "./install.mjs";

await script(async () => {
  const folder = path.join(ROOT, "test", "bench");
  const names = fs
    .readdirSync(folder)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length));
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined || !names.includes(name)) {
    throw new CannotGoOn(`Usage: npm run bench -- NAME [--json]\nBenchmarks: ${names.join(", ")}`);
  }
  return run(await install(), [path.join(folder, `${name}.ts`), ...args], { cwd: ROOT });
});
