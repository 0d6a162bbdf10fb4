/** `npm run build`: installs what is missing, then bundles the node into edge-runtime/dist. */
import path from "node:path";
import { runQuietly } from "./child.mjs";
import { CannotGoOn, install, ROOT, script } from "./install.mjs";

/** @throws CannotGoOn */
export async function build(node) {
  const bundled = await runQuietly("Bundling the node", node, [path.join(ROOT, "scripts", "bundle.mjs")], () => "", {
    cwd: ROOT,
  });
  if (!bundled) throw new CannotGoOn("The bundle could not be made; the output is above.");
}

if (process.argv[1] === import.meta.filename) {
  await script(async () => {
    await build(await install());
    return 0;
  });
}
