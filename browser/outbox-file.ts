/** The code of exported outboxes: loaded beside a document, which opens without. */
import type { LoadOutboxFile, OutboxFileCodec } from "@openclaw/core/client/outbox-file.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";

/** Loads it once; what failed is tried again at the next call. */
export function outboxFileLoader(): LoadOutboxFile {
  let loading: Promise<OutboxFileCodec> | null = null;
  const load = async (): Promise<OutboxFileCodec> => {
    try {
      return await import("@openclaw/core/client/outbox-file.ts");
    } catch (error) {
      loading = null;
      throw new OpenClawError("UNAVAILABLE", "the code of exported outboxes could not be loaded", { cause: error });
    }
  };
  return () => {
    loading ??= load();
    return loading;
  };
}
