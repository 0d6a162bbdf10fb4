/** `npm run size`: installs what is missing, then runs test/size/main.ts. */
import path from "node:path";
import { run } from "./child.mjs";
import { install, ROOT, script } from "./install.mjs";

await script(async () => {
  const file = path.join(ROOT, "test", "size", "main.ts");
  return run(await install(), [file], { cwd: ROOT });
});
