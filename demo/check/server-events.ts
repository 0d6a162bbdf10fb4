/** Server-sent events (HTML standard §9.2.6) from a stream of bytes: just what `/v1/watch` writes. */

export interface ReceivedEvent {
  readonly event: string;
  readonly data: unknown;
}

export async function* readServerEvents(stream: AsyncIterable<Uint8Array>): AsyncGenerator<ReceivedEvent> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = new Map(
        block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
      );
      const event = fields.get("event");
      // A block without an event's name is a comment that keeps the connection alive.
      if (event !== undefined) yield { event, data: JSON.parse(fields.get("data") ?? "null") };
    }
  }
}
