/** `npm run fleet [-- OPTIONS]`: installs what is missing, then runs test/fleet/main.ts. */
import path from "node:path";
import { run } from "./child.mjs";
import { install, ROOT, script } from "./install.mjs";

await script(async () => {
  const file = path.join(ROOT, "test", "fleet", "main.ts");
  return run(await install(), [file, ...process.argv.slice(2)], { cwd: ROOT });
});
