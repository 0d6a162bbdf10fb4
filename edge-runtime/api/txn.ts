/** `POST /v1/txn`: a transaction on the site's keys. */
import { InvariantViolation, OpenClawError } from "@openclaw/core/errors.ts";
import { FRAME_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { Txn } from "@openclaw/core/state-machine/operation.ts";
import type { FastifyInstance } from "fastify";
import { failures } from "./answers.ts";
import { queued, queuedSchema } from "./commands.ts";
import type { ApiDeps } from "./deps.ts";
import { positionHeaders, positionProperties, written } from "./reading.ts";
import { parsedTxn, responseJson, txnForm } from "./txn-json.ts";
import { perform } from "./write.ts";

export function txnRoute(app: FastifyInstance, deps: ApiDeps): void {
  app.post<{ Body: Txn }>(
    "/v1/txn",
    {
      bodyLimit: FRAME_BYTES_MAX,
      validatorCompiler: () => parsedTxn,
      errorHandler: (error) => {
        if (error.code === "FST_ERR_CTP_BODY_TOO_LARGE")
          throw new OpenClawError("TXN_TOO_LARGE", `${FRAME_BYTES_MAX} bytes`);
        throw error;
      },
      schema: {
        tags: ["kv"],
        summary: "Run a transaction: compares, then one of two lists of operations",
        description:
          "Runs `success` if every compare holds, else `failure`: all of it at one revision, or nothing. Names and corner " +
          "cases are etcd v3's. Compares, nested ones too, look at what was there before; operations see what those before " +
          "them did. One that changes nothing takes no revision. Keys of two homes are CROSS_HOME; where their home is " +
          "elsewhere, 202: it is queued and runs there once.",
        body: txnForm,
        response: {
          200: {
            description: "Committed, on a majority's disks",
            type: "object",
            headers: positionHeaders,
            properties: {
              ...positionProperties,
              succeeded: { type: "boolean", description: "Whether the compares held" },
              responses: {
                type: "array",
                description: "One an operation of the branch that ran; keys and values are base64",
                items: { type: "object", additionalProperties: true },
              },
            },
          },
          202: queuedSchema,
          ...failures(
            "BAD_REQUEST",
            "CROSS_HOME",
            "KEY_EMPTY",
            "KEY_TOO_LARGE",
            "VALUE_TOO_LARGE",
            "NOT_FOUND",
            "DUPLICATE_KEY",
            "TXN_TOO_LARGE",
            "RESPONSE_TOO_LARGE",
            "FORBIDDEN",
            "OVERLOADED",
            "IDEMPOTENCY_KEY_REUSED",
            "UNAVAILABLE",
            "STORAGE_FULL",
          ),
        },
      },
    },
    async (request, reply) => {
      const { revision, response } = await perform(deps, request.body, { request, reply });
      if (response?.kind === "queued") return queued(deps, revision, reply);
      if (response?.kind !== "txn") throw new InvariantViolation("a transaction is answered as one");
      const { succeeded, responses } = response;
      return { ...written(deps, revision, reply), succeeded, responses: responses.map(responseJson) };
    },
  );
}
