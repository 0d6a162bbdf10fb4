/** The examples of the README and of other pages, as they stand there. */
import { readFile } from "node:fs/promises";

/** The code block of the README that is marked `example=NAME`. */
export const readmeExample = (name: string): Promise<string> => codeExample("README.md", name);

/** The same of a page, whose path begins at the root of the repository. */
export async function codeExample(page: string, name: string): Promise<string> {
  const text = await readFile(new URL(`../../${page}`, import.meta.url), "utf8");
  const block = new RegExp(`^\`\`\`\\w+ example=${name}\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(text)?.[1];
  if (block === undefined) throw new Error(`${page} has no example ${name}`);
  return block;
}
