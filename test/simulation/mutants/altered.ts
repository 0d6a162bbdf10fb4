/** A file's text with a mutant planted in it. */
import { fileURLToPath } from "node:url";
import { MUTANTS, type Mutant } from "./mutants.ts";

/** The project's folder, with a slash at its end. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export function mutantNamed(name: string): Mutant {
  const mutant = MUTANTS.find((one) => one.name === name);
  if (mutant === undefined) throw new Error(`there is no mutant ${name}`);
  return mutant;
}

/** @throws Error when an edit's text does not occur exactly once: the code has moved on, and the mutant must follow */
export function altered(mutant: Mutant, file: string, source: string): string {
  let text = source;
  for (const edit of mutant.edits) {
    if (edit.file !== file) continue;
    const parts = text.split(edit.find);
    if (parts.length !== 2) {
      throw new Error(`${mutant.name}: ${JSON.stringify(edit.find)} occurs ${parts.length - 1} times in ${file}`);
    }
    text = parts.join(edit.replace);
  }
  return text;
}
