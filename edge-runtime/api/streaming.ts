/** Serves a request with a stream of events, for as long as its reader reads, its token lives and the node serves. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FastifyReply, FastifyRequest } from "fastify";
import { expected } from "./answers.ts";
import type { ApiPrincipal } from "./deps.ts";
import { EventStream } from "./event-stream.ts";
import type { StreamFormat } from "./stream-format.ts";

/** Streams of one node; one more is OVERLOADED. */
const STREAMS_MAX = 1_000;

/** @throws OpenClawError OVERLOADED */
function assertRoom(streams: ReadonlySet<EventStream>): void {
  if (streams.size >= STREAMS_MAX) throw new OpenClawError("OVERLOADED", `${STREAMS_MAX} watchers`);
}

/** @param streams those that are open: this one is among them meanwhile. @throws OpenClawError OVERLOADED */
export async function streaming(
  request: FastifyRequest,
  reply: FastifyReply,
  streams: Set<EventStream>,
  serve: (stream: EventStream) => Promise<void>,
  format?: StreamFormat,
): Promise<void> {
  assertRoom(streams);
  reply.hijack();
  const stream = new EventStream(reply.raw, reply.getHeaders(), format);
  streams.add(stream);
  const endOfToken = atExpiry(request.principal, () =>
    stream.fail(new OpenClawError("UNAUTHENTICATED", "the token expired")),
  );
  try {
    await serve(stream);
  } catch (error) {
    const failure = expected(error);
    if (failure.code === "INTERNAL") request.log.error({ err: error }, "a watch failed");
    stream.fail(failure);
  } finally {
    clearInterval(endOfToken);
    streams.delete(stream);
  }
}

/** Rights end when the token does, in mid-stream too (pitfall 50). A timeout takes no longer than 24 days; a day's check does. */
function atExpiry({ expires }: ApiPrincipal, end: () => void): NodeJS.Timeout | undefined {
  if (expires === null) return undefined;
  const check = (): void => {
    if (expires <= Date.now()) end();
  };
  return setInterval(check, Math.min(Math.max(expires - Date.now(), 0) + 1, 86_400_000));
}
