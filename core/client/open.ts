/** Opens a client with all its code at hand. */
import { sha256 } from "@noble/hashes/sha2.js";
import type { Client } from "./client.ts";
import * as online from "./online.ts";
import type { ClientOptions } from "./options.ts";
import * as transfer from "./outbox-transfer.ts";
import { restoreClient } from "./restore.ts";

/** Opens what the device holds, and begins to connect. @throws OpenClawError CLIENT_STORAGE_FAILED */
export const openClient = (options: ClientOptions): Promise<Client> =>
  restoreClient(options, { transfer: async () => transfer, online: async () => online }, async (bytes) =>
    sha256(bytes),
  );
