/** What travels of a revision on a link, as bytes (L2). */
import { type Encodable, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { revision } from "../ids.ts";
import type { LinkItem, StubReason } from "./record.ts";
import { readHash } from "./record-codec.ts";

const ITEM = { body: 0, stub: 1, skip: 2 } as const satisfies Record<LinkItem["kind"], number>;
const REASONS: readonly StubReason[] = ["private", "echo", "shed", "filtered"];

export function linkItemTuple(item: LinkItem): Encodable {
  switch (item.kind) {
    case "body":
      return [ITEM.body, item.revision, item.record];
    case "stub":
      return [ITEM.stub, item.revision, item.leaf, REASONS.indexOf(item.reason)];
    case "skip":
      return [ITEM.skip, item.from, item.to, item.hash];
    default:
      return unreachable(item);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readLinkItem(value: Encodable): LinkItem {
  const reader = new TupleReader(value, "link item");
  const item = readItem(reader);
  reader.end();
  return item;
}

function readItem(reader: TupleReader): LinkItem {
  const kind = reader.count();
  switch (kind) {
    case ITEM.body:
      return { kind: "body", revision: revision(reader.count()), record: reader.bytes() };
    case ITEM.stub: {
      const at = revision(reader.count());
      const leaf = readHash(reader);
      const reason = REASONS[reader.count()];
      if (reason === undefined) throw new OpenClawError("MALFORMED_FRAME", "a stub for an unknown reason");
      return { kind: "stub", revision: at, leaf, reason };
    }
    case ITEM.skip:
      return { kind: "skip", from: revision(reader.count()), to: revision(reader.count()), hash: readHash(reader) };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a link item of unknown kind ${kind}`);
  }
}
