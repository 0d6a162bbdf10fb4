/** A base as it is sent: a frame for each part, an empty one while it is being made, and one that says why it ended early. */
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { readErrorCode } from "@openclaw/core/state-machine/outcome-codec.ts";

const FAILED = "failed";
/** Bytes of a failure, at most: a part that is larger is none. */
const FAILURE_BYTES_MAX = 16_384;
const DETAILS_CHARS_MAX = 2_000;

export const failurePart = ({ code, details }: OpenClawError): Uint8Array =>
  encode([FAILED, code, details.slice(0, DETAILS_CHARS_MAX)]);

/** The parts, as `encodeBasePart` writes them. @throws OpenClawError what the node failed with, MALFORMED_FRAME */
export async function* partsSent(frames: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const content of frames) {
    if (content.length === 0) continue;
    const failure = failureIn(content);
    if (failure !== null) throw failure;
    yield content;
  }
}

function failureIn(content: Uint8Array): OpenClawError | null {
  if (content.length > FAILURE_BYTES_MAX) return null;
  const reader = new TupleReader(decode(content), "a base's part");
  return reader.text() === FAILED ? new OpenClawError(readErrorCode(reader), reader.text()) : null;
}
