/** Where clients are present together: at a document, or under a name that an app chose. */
import { utf8 } from "../bytes.ts";
import { unreachable } from "../errors.ts";
import { nameRefusal } from "../state-machine/document-name.ts";
import type { Principal } from "../sync/authority.ts";

export type Topic =
  | { readonly kind: "document"; readonly collection: string; readonly id: string }
  | { readonly kind: "name"; readonly name: string };

/** Before a topic's name where it is compared with what a token lets somebody read, as `docs:` is before a document's. */
const RIGHT_PREFIX = "presence:";

/** The same text for the same topic. */
export const topicKey = (topic: Topic): string => JSON.stringify(topicTuple(topic));

export function topicTuple(topic: Topic): readonly string[] {
  switch (topic.kind) {
    case "document":
      return [topic.collection, topic.id];
    case "name":
      return [topic.name];
    default:
      return unreachable(topic);
  }
}

/** What is wrong with a topic's name, if anything: it has the limits of a document's. */
export function topicRefusal(topic: Topic): string | null {
  const wrong =
    topic.kind === "document" ? nameRefusal(topic.collection, topic.id) : nameRefusal(topic.name, topic.name);
  if (wrong === null) return null;
  return topic.kind === "document" ? wrong.details : "a topic has a name of 1 to 255 bytes of UTF-8";
}

/** Who may read a document may be seen at it, and see who else is there. */
export function mayMeet(topic: Topic, principal: Principal): boolean {
  switch (topic.kind) {
    case "document":
      return principal.mayReadDocument(topic.collection, topic.id);
    case "name":
      return principal.mayReadKey(utf8(RIGHT_PREFIX + topic.name));
    default:
      return unreachable(topic);
  }
}
