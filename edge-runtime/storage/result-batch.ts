/** Results of one apply as one string of bytes: handed over whole, they cost a fraction of a structured clone each. */
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Applied } from "@openclaw/core/ports.ts";
import { readResult, resultTuple } from "@openclaw/core/state-machine/result-codec.ts";

type Results = Applied["results"];

export const packResults = (results: Results): Uint8Array<ArrayBuffer> =>
  encode(results.map(({ proposer, request, result }) => [proposer, request, resultTuple(result)]));

/** @throws OpenClawError MALFORMED_FRAME */
export function unpackResults(packed: Uint8Array): Results {
  const rows = decode(packed);
  if (!Array.isArray(rows)) throw new OpenClawError("MALFORMED_FRAME", "a batch of results is not a list");
  return rows.map((row) => {
    const reader = new TupleReader(row, "result for a proposer");
    const result = { proposer: reader.text(), request: reader.count(), result: readResult(reader.any()) };
    reader.end();
    return result;
  });
}
