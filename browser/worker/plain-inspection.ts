/** The inspection with what runs in every browser, synchronously and so in a worker. */
import { inspectionWith } from "@openclaw/core/client/inspection.ts";
import { PLAIN_TOOLS } from "@openclaw/core/documents/change-check.ts";

export const inspection = inspectionWith(PLAIN_TOOLS);
