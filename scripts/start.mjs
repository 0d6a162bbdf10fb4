/** `npm start`: installs what is missing, then runs the demo's fleet (or, with --check, the whole story unattended). */
import path from "node:path";
import { run } from "./child.mjs";
import { chromium } from "./chromium.mjs";
import { install, ROOT, script } from "./install.mjs";

await script(async () => {
  const args = process.argv.slice(2);
  const node = await install();
  const env = { ...process.env };
  if (args.includes("--check") && !args.includes("--help")) env.CHROMIUM_PATH = await chromium();
  return run(node, [path.join(ROOT, "demo", "main.ts"), ...args], { cwd: ROOT, env });
});
