/** Code that no document waits for: loaded beside the first one. */
import { OpenClawError } from "@openclaw/core/errors.ts";

/** Code that is not here by then could not be loaded, ms: a request may stay without an answer for ever. */
export const BESIDE_MS_MAX = 30_000;

/** Loads it once; what failed is tried again at the next call. @param what it is, for UNAVAILABLE */
export function besideLoader<Code>(what: string, load: () => Promise<Code>): () => Promise<Code> {
  let loading: Promise<Code> | null = null;
  const begin = async (): Promise<Code> => {
    let late: ReturnType<typeof setTimeout> | undefined;
    try {
      return await Promise.race([
        load(),
        new Promise<never>((_, reject) => {
          late = setTimeout(reject, BESIDE_MS_MAX);
        }),
      ]);
    } catch (error) {
      loading = null;
      throw new OpenClawError("UNAVAILABLE", `${what} could not be loaded`, { cause: error });
    } finally {
      clearTimeout(late);
    }
  };
  return () => {
    loading ??= begin();
    return loading;
  };
}
