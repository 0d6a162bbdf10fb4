/** `npm run nemesis -- --minutes M`: installs what is missing, then runs test/nemesis/main.ts. */
import path from "node:path";
import { run } from "./child.mjs";
import { install, ROOT, script } from "./install.mjs";

await script(async () => {
  const file = path.join(ROOT, "test", "nemesis", "main.ts");
  // In the folder where npm was called, so that --out means what its caller means.
  return run(await install(), [file, ...process.argv.slice(2)], { cwd: process.env.INIT_CWD ?? process.cwd() });
});
