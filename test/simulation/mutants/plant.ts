/**
 * Plants the mutant that OPENCLAW_MUTANT names: `node --import plant.ts` alters the text of its files as they are loaded.
 * The files themselves stay as they are, and production code knows nothing of it.
 */
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { altered, mutantNamed, ROOT } from "./altered.ts";

const name = process.env.OPENCLAW_MUTANT;
if (name === undefined) throw new Error("OPENCLAW_MUTANT names no mutant");
const mutant = mutantNamed(name);

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.startsWith("file:")) return loaded;
    const path = fileURLToPath(url);
    if (!mutant.edits.some(({ file }) => ROOT + file === path)) return loaded;
    return { ...loaded, source: altered(mutant, path.slice(ROOT.length), String(loaded.source)) };
  },
});
