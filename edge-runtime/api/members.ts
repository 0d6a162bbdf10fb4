/** `/v1/members`, `/v1/leader`: who belongs to the cluster, and what an operator changes of that (thesis chapter 4). */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isNodeId, type NodeId } from "@openclaw/core/ids.ts";
import { isJoint } from "@openclaw/core/raft/membership.ts";
import type { FastifyInstance } from "fastify";
import { requireAdmin } from "./admin.ts";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { acceptIdempotencyKey } from "./idempotency.ts";

const nodeSchema = { type: "string", description: "A node's name", maxLength: 63 } as const;
const doneSchema = { description: "Done", type: "object", additionalProperties: true } as const;

export function memberRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get(
    "/v1/members",
    {
      config: { whenRemoved: true },
      schema: {
        tags: ["operation"],
        summary: "The members as this node sees them, where they are, and who was removed",
        response: {
          200: {
            description: "Voters, learners (which get the log and do not vote yet), and nodes that were removed",
            type: "object",
            additionalProperties: true,
            properties: {
              cluster: { type: "string" },
              leader: { type: ["string", "null"] },
              quorum: { type: "integer" },
              applyVersion: {
                type: "integer",
                description: "Which meaning commands have: it is raised when all members support the next (R9)",
              },
            },
          },
          ...failures("STOPPED"),
        },
      },
    },
    async () => membersOf(deps),
  );

  app.delete<{ Params: { node: string } }>(
    "/v1/members/:node",
    {
      schema: {
        tags: ["operation"],
        summary: "Remove a member, for good: its name is not used again",
        params: { type: "object", properties: { node: nodeSchema } },
        response: {
          200: doneSchema,
          ...failures("BAD_REQUEST", "FORBIDDEN", "NOT_FOUND", "REMOVED", ...MEMBERSHIP_FAILURES),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      acceptIdempotencyKey(request);
      const node = nodeOf(request.params.node);
      const { voters, learners } = deps.replica.status().raft.committedMembership;
      const known = deps.members.rows().some((row) => row.node === node);
      if (!known && !voters.includes(node) && !learners.some(({ id }) => id === node)) {
        throw new OpenClawError("NOT_FOUND", `${node} is no member`);
      }
      await deps.replica.changeMembership({ kind: "remove", node }, REQUEST_TIMEOUT_MS);
      return { removed: node };
    },
  );

  app.post<{ Body: { node: string } }>(
    "/v1/leader",
    {
      schema: {
        tags: ["operation"],
        summary: "Move leadership to another voter",
        body: { type: "object", additionalProperties: false, required: ["node"], properties: { node: nodeSchema } },
        response: {
          200: doneSchema,
          ...failures(
            "BAD_REQUEST",
            "FORBIDDEN",
            "REMOVED",
            "TRANSFER_REFUSED",
            "OVERLOADED",
            "UNAVAILABLE",
            "STOPPED",
          ),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      acceptIdempotencyKey(request);
      const node = nodeOf(request.body.node);
      await deps.replica.transferLeadership(node, REQUEST_TIMEOUT_MS);
      return { leader: node };
    },
  );
}

const MEMBERSHIP_FAILURES = [
  "MEMBERSHIP_INVALID",
  "MEMBERSHIP_PENDING",
  "MEMBERSHIP_UNHEALTHY",
  "OVERLOADED",
  "UNAVAILABLE",
  "STOPPED",
] as const;

function nodeOf(text: string): NodeId {
  if (!isNodeId(text)) throw new OpenClawError("BAD_REQUEST", "a node's name: lower-case letters, digits and dashes");
  return text;
}

function membersOf({ replica, members }: ApiDeps) {
  const { cluster, leader, raft, applyVersion } = replica.status();
  const { committedMembership: membership } = raft;
  const places = members.list();
  const place = (node: NodeId) => {
    const known = places.find((member) => member.node === node);
    const row = members.rows().find((noted) => noted.node === node);
    const supports = row?.supports ?? null;
    return { peer: known?.peer ?? null, addresses: known?.addresses ?? [], http: known?.http ?? null, supports };
  };
  const voters = [...new Set([...membership.voters, ...membership.outgoing])];
  return {
    cluster,
    leader,
    applyVersion,
    quorum: Math.floor(membership.voters.length / 2) + 1,
    // The voters are being changed: both the old and the new ones have to agree (§4.3).
    joint: isJoint(membership),
    members: [
      ...voters.map((node) => ({
        node,
        role: membership.voters.includes(node) ? "voter" : "leaving",
        replaces: null,
        ...place(node),
      })),
      ...membership.learners.map(({ id, replaces }) => ({ node: id, role: "learner", replaces, ...place(id) })),
    ],
    removed: members.rows().flatMap(({ node, standing }) => (standing === "removed" ? [node] : [])),
  };
}
