/** Changes of one document that a gateway has checked and that are not committed (D5): to clients, and between gateways. */
import { decode, type Encodable, encode, limited, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { documentChangeTuple, readDocumentChange } from "../ledger/record-codec.ts";
import { PROVISIONAL_BYTES_MAX, PROVISIONAL_CHANGES_MAX } from "../limits.ts";
import { nameRefusal } from "../state-machine/document-name.ts";

const GOSSIP_VERSION = 1;

export interface ProvisionalChanges {
  readonly collection: string;
  readonly document: string;
  /** Each after what it depends on. */
  readonly changes: readonly DocumentChange[];
}

/** Whether they are as few and as small as what somebody types: more is shown when it is committed. */
export const isLittle = ({ changes }: ProvisionalChanges): boolean =>
  changes.length <= PROVISIONAL_CHANGES_MAX && bytesOf(changes) <= PROVISIONAL_BYTES_MAX;

const bytesOf = (changes: readonly DocumentChange[]): number =>
  changes.reduce((sum, { bytes }) => sum + bytes.length, 0);

export const provisionalTuple = ({ collection, document, changes }: ProvisionalChanges): Encodable => [
  collection,
  document,
  changes.map(documentChangeTuple),
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readProvisional(value: Encodable): ProvisionalChanges {
  const reader = new TupleReader(value, "provisional changes");
  const collection = reader.text();
  const document = reader.text();
  const changes = limited(reader.list(), PROVISIONAL_CHANGES_MAX, "changes").map(readDocumentChange);
  reader.end();
  const wrong = nameRefusal(collection, document);
  if (wrong !== null) throw new OpenClawError("MALFORMED_FRAME", wrong.details);
  const read = { collection, document, changes };
  if (!isLittle(read)) throw new OpenClawError("MALFORMED_FRAME", `${bytesOf(changes)} bytes of provisional changes`);
  return read;
}

/** What one gateway tells the others. */
export const encodeProvisional = (changes: ProvisionalChanges): Uint8Array =>
  encode([GOSSIP_VERSION, provisionalTuple(changes)]);

/** @throws OpenClawError MALFORMED_FRAME, UNKNOWN_VERSION */
export function decodeProvisional(bytes: Uint8Array): ProvisionalChanges {
  const reader = new TupleReader(decode(bytes), "gossip of provisional changes");
  const version = reader.count();
  if (version !== GOSSIP_VERSION)
    throw new OpenClawError("UNKNOWN_VERSION", `gossip of provisional changes ${version}`);
  const changes = readProvisional(reader.any());
  reader.end();
  return changes;
}
