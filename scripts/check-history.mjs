/** `npm run check-history -- FILE…`: installs what is missing, then runs test/history/check-history.ts. */
import path from "node:path";
import { run } from "./child.mjs";
import { CannotGoOn, install, ROOT } from "./install.mjs";

try {
  const file = path.join(ROOT, "test", "history", "check-history.ts");
  // In the folder where npm was called, so that a FILE means what its caller means.
  const cwd = process.env.INIT_CWD ?? process.cwd();
  process.exitCode = await run(await install(), [file, ...process.argv.slice(2)], { cwd });
} catch (error) {
  // Not the 1 of other scripts: here that means a history that is not linearizable.
  process.exitCode = 2;
  process.stderr.write(`${error instanceof CannotGoOn ? error.message : error.stack}\n`);
}
