/** L2, Q3: what is private leaves a cluster as a leaf alone, and the leaf is that of the chain. */
import { hash } from "node:crypto";
import { equalBytes, utf8 } from "@openclaw/core/bytes.ts";
import { unreachable } from "@openclaw/core/errors.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";

/** In every private key and value of a world. */
export const SECRET = "secret";

/** @param ledger of who sends; null where it is not looked at */
export function privateFaults(
  from: string,
  items: readonly LinkItem[],
  ledger: readonly StoredRecord[] | null,
): readonly string[] {
  return items.flatMap((item) => {
    switch (item.kind) {
      case "body":
        return Buffer.from(item.record).includes(Buffer.from(utf8(SECRET))) ||
          decodeRecord(item.record).home === "private"
          ? [`${from} tells its private revision ${item.revision}`]
          : [];
      case "stub": {
        const record = ledger?.[item.revision - 1]?.record;
        return record !== undefined && !equalBytes(hash("sha256", record, "buffer"), item.leaf)
          ? [`${from} tells another leaf of ${item.revision} than its own`]
          : [];
      }
      case "skip":
        return [];
      default:
        return unreachable(item);
    }
  });
}
