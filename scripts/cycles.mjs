/** `npm run cycles [-- OPTIONS]`: installs what is missing, then runs test/cycles/main.ts. */
import path from "node:path";
import { run } from "./child.mjs";
import { chromium } from "./chromium.mjs";
import { install, ROOT, script } from "./install.mjs";

await script(async () => {
  const node = await install();
  const env = { ...process.env, CHROMIUM_PATH: await chromium() };
  return run(node, [path.join(ROOT, "test", "cycles", "main.ts"), ...process.argv.slice(2)], { cwd: ROOT, env });
});
