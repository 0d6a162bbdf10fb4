/** Code that no document waits for: loaded beside the first one. */
import { OpenClawError } from "@openclaw/core/errors.ts";

/** Loads it once; what failed is tried again at the next call. @param what it is, for UNAVAILABLE */
export function besideLoader<Code>(what: string, load: () => Promise<Code>): () => Promise<Code> {
  let loading: Promise<Code> | null = null;
  const begin = async (): Promise<Code> => {
    try {
      return await load();
    } catch (error) {
      loading = null;
      throw new OpenClawError("UNAVAILABLE", `${what} could not be loaded`, { cause: error });
    }
  };
  return () => {
    loading ??= begin();
    return loading;
  };
}
