/** `/v1/sites/:site/lives`, `/v1/sync/parent`: which life of a child, or of the parent, is followed, and how another is chosen (L3). */
import { toHex, utf8Text } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, type Epoch, isClusterId, linkOfCluster } from "@openclaw/core/ids.ts";
import type { Differences } from "@openclaw/core/sync/differences.ts";
import { carryOutChange, planResolution } from "@openclaw/core/sync/life-change.ts";
import type { Adoption } from "@openclaw/core/sync/parent-epochs.ts";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { sha256 } from "../storage/sha256.ts";
import { requireAdmin } from "./admin.ts";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { acceptIdempotencyKey } from "./idempotency.ts";

const anything = { type: "object", additionalProperties: true } as const;
const siteParams = { type: "object", required: ["site"], properties: { site: { type: "string" } } } as const;
const dryRun = { type: "boolean", default: false, description: "Say what it would do, and change nothing" } as const;

export function livesRoutes(app: FastifyInstance, { replica, uplink }: ApiDeps): void {
  const alone = oneAtATime();
  app.get<{ Params: { site: string } }>(
    "/v1/sites/:site/lives",
    {
      schema: {
        tags: ["operation"],
        summary: "Which life of a child is followed, which wait for a decision, and what was put aside",
        params: siteParams,
        response: {
          200: { description: "The lives", ...anything },
          ...failures("BAD_REQUEST", "FORBIDDEN", "NOT_FOUND"),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      const site = siteOf(request.params.site);
      await replica.barrier(REQUEST_TIMEOUT_MS);
      const { link } = await replica.read({ kind: "link", link: linkOfCluster(site) });
      if (link === null || link.epoch === null) throw new OpenClawError("NOT_FOUND", `nothing of ${site} came here`);
      const { contenders, left } = await replica.read({ kind: "lives", link: linkOfCluster(site) });
      return {
        site,
        followed: { ...epochJson(link.epoch), cursor: link.cursor },
        contenders: contenders.map(({ epoch, revision, code }) => ({ ...epochJson(epoch), revision, code })),
        left: left.map(({ epoch, from, to, at }) => ({ ...epochJson(epoch), from, to, at })),
      };
    },
  );

  app.post<{ Params: { site: string }; Body: { epoch?: string; dryRun: boolean } }>(
    "/v1/sites/:site/resolve",
    {
      config: { patient: true },
      schema: {
        tags: ["operation"],
        summary: "Follow another life of a child from where both part",
        description:
          "Another life is one that was refused EPOCH_BEHIND or FORK. What was taken of the one followed so far above the " +
          "parting is put aside: it stays in the ledger here, itemised, and the mirror's keys become what they were there. " +
          "Documents merge, so their changes stay. The life that is left is refused from then on. All of the past that is " +
          "kept is read: it takes as long as that is. One such request at a time.",
        params: siteParams,
        body: {
          type: "object",
          additionalProperties: false,
          properties: {
            epoch: {
              type: "string",
              pattern: "^[0-9a-f]{4,32}$",
              description: "The beginning of its nonce, if there are more",
            },
            dryRun,
          },
        },
        response: {
          200: { description: "Both differences", ...anything },
          ...failures("BAD_REQUEST", "FORBIDDEN", "NOT_FOUND", "WRONG_EPOCH", "GAP", "OVERLOADED", "UNAVAILABLE"),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      acceptIdempotencyKey(request);
      const { epoch, dryRun: look } = request.body;
      await replica.barrier(REQUEST_TIMEOUT_MS);
      const plan = await alone(async () => {
        const found = await planResolution(replica, sha256, siteOf(request.params.site), epoch ?? null);
        if (!look) await carryOutChange((command) => replica.propose(command, author(request)), found, null);
        return found;
      });
      const { cluster, from, to, parting, taken } = plan;
      return {
        site: cluster,
        dryRun: look,
        parting,
        from: { ...epochJson(from.epoch), cursor: from.cursor },
        to: { ...epochJson(to.epoch), revision: to.revision, refused: to.code },
        // What each has above the parting and the other has not.
        onlyHere: differencesJson(taken),
        onlyThere: { from: parting + 1, to: to.revision, revisions: Math.max(0, to.revision - parting) },
      };
    },
  );

  app.post<{ Body: { dryRun: boolean } }>(
    "/v1/sync/adopt-parent",
    {
      config: { patient: true },
      schema: {
        tags: ["operation"],
        summary: "Follow the parent that was refused last",
        description:
          "For a parent that was founded anew, or one that is another life of the one that was known. What was taken of the " +
          "one before is put aside, its mirror's keys are removed or put back, and the ledger is shipped from where the new " +
          "one has it. Asked of the leader, whose uplink it is; another node answers NOT_LEADER. All of the past that is kept " +
          "is read: it takes as long as that is. One such request at a time.",
        body: { type: "object", additionalProperties: false, properties: { dryRun } },
        response: {
          200: { description: "What differs", ...anything },
          ...failures("FORBIDDEN", "NOT_FOUND", "NOT_LEADER", "WRONG_EPOCH", "GAP", "OVERLOADED", "UNAVAILABLE"),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      acceptIdempotencyKey(request);
      if (uplink === null) throw new OpenClawError("NOT_FOUND", "this cluster has no parent");
      const { role, leader } = replica.status();
      if (role !== "leader") throw new OpenClawError("NOT_LEADER", `ask ${leader ?? "again when there is one"}`);
      const { dryRun: look } = request.body;
      return { dryRun: look, ...adoptionJson(await alone(() => (look ? uplink.planAdoption() : uplink.adopt()))) };
    },
  );
}

/** What reads all of the past holds a node up for long enough by itself. */
function oneAtATime(): <T>(work: () => Promise<T>) => Promise<T> {
  let busy = false;
  return async (work) => {
    if (busy) throw new OpenClawError("OVERLOADED", "this node reads its past for another decision; wait for that");
    busy = true;
    try {
      return await work();
    } finally {
      busy = false;
    }
  };
}

const author = (request: FastifyRequest) => ({ principal: request.principal.name, timeoutMs: REQUEST_TIMEOUT_MS });

function siteOf(name: string): ClusterId {
  if (!isClusterId(name)) throw new OpenClawError("BAD_REQUEST", `${name} is no site's name`);
  return name;
}

const epochJson = ({ counter, nonce, parent, departure }: Epoch) => ({ epoch: nonce, counter, parent, departure });

const adoptionJson = ({ cluster, from, to, parting, taken, holds, held }: Adoption) => ({
  parent: cluster,
  parting,
  from: { ...epochJson(from.epoch), cursor: from.cursor },
  to: epochJson(to.epoch),
  onlyHere: differencesJson(taken),
  /** Our revisions that lose the rung `hub`, until they are shipped again. */
  withdrawn: { above: holds, to: Math.max(held, holds) },
});

const differencesJson = ({ revisions, listed, changes }: Differences) => ({
  revisions,
  listed: listed.map(({ revision, here, time, principal, puts, deletes, documents }) => ({
    revision,
    here,
    time,
    principal,
    puts: puts.map(keyText),
    deletes: deletes.map(keyText),
    documents,
  })),
  // Null: a snapshot of the life that comes replaces them all.
  keysPutBack:
    changes?.map(({ kind, key }) => ({ key: keyText(key), becomes: kind === "put" ? "its value then" : "absent" })) ??
    null,
});

/** As hex where it is no text. */
function keyText(key: Uint8Array): string {
  return utf8Text(key) ?? `0x${toHex(key)}`;
}
