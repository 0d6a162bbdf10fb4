/** `/v1/base`: the content as of one revision, with what else a backup begins with where the ledger's beginning is compacted. */
import { Readable } from "node:stream";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FastifyInstance } from "fastify";
import { failurePart } from "../backup/base-stream.ts";
import { frameOf } from "../backup/record-frames.ts";
import { requireAdmin } from "./admin.ts";
import { expected, failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps, ApiPrincipal } from "./deps.ts";

/** A reader whose socket takes nothing for this long is cut off, ms: one base is sent at a time. */
const STALL_MS_MAX = 30_000;

export function baseRoute(app: FastifyInstance, { replica }: ApiDeps): void {
  app.get(
    "/v1/base",
    {
      config: { stream: true },
      schema: {
        tags: ["operation"],
        summary: "The content as it stands, to begin a backup with",
        description:
          "Frames of a 4-byte length and a MessagePack tuple: [openclaw base, cluster, epoch, revision, record, ledger " +
          "hash], then [rows, [[key, value, stamp]…]] in the order of the state's keys, then [end, rows of content, content " +
          "hash]; [failed, code, details] where it ends early, and an empty frame at the start, while a copy is made. All " +
          "of it as of that revision; what is written meanwhile goes on. One is sent at a time, no faster than snapshots. " +
          "Needs the admin claim.",
        produces: ["application/octet-stream"],
        response: {
          200: {
            description: "Frames",
            content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } },
          },
          ...failures("FORBIDDEN", "OVERLOADED", "UNAVAILABLE", "STOPPED"),
        },
      },
    },
    async (request, reply) => {
      requireAdmin(request);
      // So that it is not older than what the backup has from another node.
      await replica.barrier(REQUEST_TIMEOUT_MS);
      const parts = replica.base();
      const begun = await parts.next();
      const cutOff = (): void => void reply.raw.destroy();
      const failed = (error: unknown): void => request.log.error({ err: error }, "a base failed");
      const frames = Readable.from(framed(begun, parts, request.principal, cutOff, failed), { highWaterMark: 1 });
      // Also of a reader that went before it read anything.
      frames.once("close", () => void parts.return(undefined).catch(failed));
      return reply.header("content-type", "application/octet-stream").send(frames);
    },
  );
}

async function* framed(
  begun: IteratorResult<Uint8Array, void>,
  parts: AsyncGenerator<Uint8Array, void>,
  { expires }: ApiPrincipal,
  cutOff: () => void,
  failed: (error: unknown) => void,
): AsyncGenerator<Uint8Array> {
  try {
    for (let next = begun; next.done !== true; next = await parts.next()) {
      // Rights end when the token does (pitfall 50).
      if (expires !== null && expires <= Date.now()) throw new OpenClawError("UNAUTHENTICATED", "the token expired");
      const late = setTimeout(cutOff, STALL_MS_MAX);
      try {
        yield frameOf(next.value);
      } finally {
        clearTimeout(late);
      }
    }
  } catch (error) {
    const failure = expected(error);
    if (failure.code === "INTERNAL") failed(failure);
    yield frameOf(failurePart(failure));
  }
}
