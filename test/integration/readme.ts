/** The examples of the README, as they stand there. */
import { readFile } from "node:fs/promises";

/** The code block marked `example=NAME`. */
export async function readmeExample(name: string): Promise<string> {
  const text = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const block = new RegExp(`^\`\`\`\\w+ example=${name}\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(text)?.[1];
  if (block === undefined) throw new Error(`the README has no example ${name}`);
  return block;
}
