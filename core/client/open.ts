/** Opens a client with all its code at hand. */
import { sha256 } from "@noble/hashes/sha2.js";
import type { Client } from "./client.ts";
import type { ClientOptions } from "./options.ts";
import { decodeOutboxFile, encodeOutboxFile } from "./outbox-file.ts";
import { restoreClient } from "./restore.ts";

/** Opens what the device holds, and begins to connect. @throws OpenClawError CLIENT_STORAGE_FAILED */
export const openClient = (options: ClientOptions): Promise<Client> =>
  restoreClient(
    options,
    async () => ({ decodeOutboxFile, encodeOutboxFile }),
    async (bytes) => sha256(bytes),
  );
