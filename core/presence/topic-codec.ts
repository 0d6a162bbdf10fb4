/** Topics as they travel. */
import { type Encodable, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { type Topic, topicRefusal } from "./topic.ts";

/** @throws OpenClawError MALFORMED_FRAME */
export function readTopic(value: Encodable): Topic {
  const isName = Array.isArray(value) && value.length === 1;
  const reader = new TupleReader(value, "topic");
  const topic: Topic = isName
    ? { kind: "name", name: reader.text() }
    : { kind: "document", collection: reader.text(), id: reader.text() };
  reader.end();
  const wrong = topicRefusal(topic);
  if (wrong !== null) throw new OpenClawError("MALFORMED_FRAME", wrong);
  return topic;
}
