/** `/v1/status`, `/v1/gateways`: what an operator and a browser ask first. */
import { toHex } from "@openclaw/core/bytes.ts";
import { PARTITION } from "@openclaw/core/ids.ts";
import type { Agreement } from "@openclaw/core/replica/comparisons.ts";
import { type DiskStatus, SHEDDING_ORDER } from "@openclaw/core/replica/disk-budget.ts";
import type { FastifyInstance } from "fastify";
import type { LinkRefusal } from "../sync/link-refusals.ts";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { shedSummary } from "./shed.ts";
import { agreementNote, comparisonJson } from "./verify.ts";

/** Links that are refused and told one by one: a hub may have thousands. */
const REFUSALS_NOTED_MAX = 20;

export function statusRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get<{ Querystring: { hash: boolean; consistency: "linearizable" | "local" } }>(
    "/v1/status",
    {
      config: { whenRemoved: true },
      schema: {
        tags: ["operation"],
        summary: "Where this node and its cluster stand, as this node sees it",
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            hash: {
              type: "boolean",
              default: false,
              description:
                "Also hash every row of this node's state, and the content, which its ledger determines: reads all of it",
            },
            consistency: {
              type: "string",
              enum: ["linearizable", "local"],
              default: "local",
              description: "linearizable: the revision is no older than anything that was acknowledged before",
            },
          },
        },
        response: {
          200: { description: "Status", type: "object", additionalProperties: true, properties: statusProperties },
          ...failures("BAD_REQUEST", "OVERLOADED", "UNAVAILABLE", "STOPPED"),
        },
      },
    },
    async (request) => {
      if (request.query.consistency === "linearizable") await deps.replica.barrier(REQUEST_TIMEOUT_MS);
      const shed = await shedSummary(deps.replica);
      return { ...statusOf(deps), shed, ...(request.query.hash ? { state: await stateHash(deps) } : {}) };
    },
  );

  app.get(
    "/v1/gateways",
    {
      schema: {
        tags: ["operation"],
        summary: "Where browsers reach this site's gateways",
        response: {
          200: {
            description: "WebSocket multiaddrs with peer ids",
            type: "object",
            properties: {
              cluster: { type: "string" },
              gateways: { type: "array", items: { type: "string" } },
              http: { type: "array", items: { type: "string" } },
            },
          },
          ...failures(),
        },
      },
    },
    async () => ({
      cluster: deps.replica.position().cluster,
      gateways: deps.members.list().flatMap(({ peer, addresses }) => addresses.filter(isWebSocket).map(withPeer(peer))),
      http: deps.members.list().map(({ http }) => http),
    }),
  );
}

const statusProperties = {
  cluster: { type: "string" },
  partition: { type: "integer" },
  epoch: { type: "string" },
  epochAncestors: {
    type: "array",
    items: { type: "object", additionalProperties: true },
    description: "The epochs that the ledger departed from, oldest first (L3)",
  },
  node: { type: "string" },
  role: { type: "string", enum: ["follower", "preCandidate", "candidate", "leader"] },
  leader: { type: ["string", "null"] },
  term: { type: "integer" },
  revision: { type: "integer" },
  ledgerHash: { type: "string", description: "The chain's hash at that revision" },
  compacted: { type: "integer", description: "The first revision that is kept; 0 when nothing was ever compacted" },
  logTime: {
    type: "integer",
    description: "Ms since the cluster was founded, but for those in which nobody led (T1); as of the last entry",
  },
  applyVersion: { type: "integer", description: "Which meaning the cluster's commands have (R9)" },
  supports: { type: "integer", description: "The newest apply version that this node supports" },
  applied: { type: "integer" },
  commit: { type: "integer" },
  staleMs: {
    type: ["number", "null"],
    description: "Ms since this node last knew that it held all that was committed",
  },
  snapshots: {
    type: "object",
    additionalProperties: true,
    description: "The snapshot that this node sends to a follower, and the one it receives; null for none",
  },
  removed: { type: "boolean", description: "True when this node is no member any more" },
  agreement: {
    type: "string",
    enum: ["sound", "diverged", "split"],
    description: "Whether this node's state is what a majority holds; unless it is sound, nothing is served (C1, C2)",
  },
  comparison: {
    type: "object",
    additionalProperties: true,
    description: "What replicas found when states were compared last",
  },
  disk: {
    type: "object",
    additionalProperties: true,
    description:
      "Bytes of the budget (null: none), of the files, and those that count; the order in which room is made, what was " +
      "shed since the start (bytes of copies and log, revisions of the past, writes refused), what comes next, and why " +
      "writes that need room are refused here (null: they are not)",
  },
  shed: {
    type: ["array", "null"],
    items: { type: "object", additionalProperties: true },
    description:
      "What was shed before a parent had it: of this cluster's ledger (link null) and of its children's; `/v1/shed` tells " +
      "each run. Null while this node's state does not answer",
  },
  quorum: { type: "integer", description: "Members that must be alive for a write" },
  notes: { type: "array", items: { type: "string" }, description: "What an operator should know" },
} as const;

function statusOf({ replica, members, presence, uplink, disk, refusals }: ApiDeps) {
  const {
    cluster,
    id,
    epoch,
    role,
    leader,
    term,
    applied,
    raft,
    members: voters,
    waiting,
    snapshots,
    logTime,
    applyVersion,
    supports,
    agreement,
    comparison,
  } = replica.status();
  const { revision, hash, parentHolds, compacted, ancestors } = replica.position();
  const heard = new Map(presence().map((member) => [member.node, member]));
  const progress = new Map(raft.progress.map((member) => [member.id as string, member]));
  const up = uplink?.status();
  return {
    cluster,
    partition: PARTITION,
    epoch: epoch.nonce,
    epochCounter: epoch.counter,
    epochParent: epoch.parent,
    epochDeparture: epoch.departure,
    epochAncestors: ancestors.map((ancestor) => ({ ...ancestor.epoch, ledgerHash: toHex(ancestor.hash) })),
    node: id,
    role,
    leader,
    term,
    revision,
    compacted,
    logTime,
    applyVersion,
    supports,
    ledgerHash: toHex(hash),
    applied,
    commit: raft.commit,
    lastIndex: raft.lastIndex,
    recoveringTo: raft.recoveringTo,
    waiting,
    staleMs: replica.staleMs(),
    snapshots,
    quorum: Math.floor(voters.length / 2) + 1,
    members: voters.map((node) => {
      const last = heard.get(node);
      const known = members.list().find((member) => member.node === node);
      return {
        node,
        http: known?.http ?? null,
        peer: known?.peer ?? null,
        // Only a leader knows how far its followers are.
        match: progress.get(node)?.match ?? null,
        active: progress.get(node)?.active ?? null,
        heardMsAgo: node === id ? 0 : (last?.ageMs ?? null),
        revision: node === id ? revision : (last?.revision ?? null),
      };
    }),
    parent:
      up === undefined
        ? null
        : {
            cluster: up.parent,
            enabled: up.enabled,
            connected: up.connected,
            state: up.phase,
            cursor: up.cursor,
            failure: up.failure,
            holds: parentHolds,
            lag: revision - parentHolds,
          },
    removed: members.removed,
    agreement: agreement.kind,
    comparison: comparisonJson(comparison),
    disk: { ...disk.status(), order: SHEDDING_ORDER },
    notes: [
      ...notesFor(voters.length, leader === null, raft.recoveringTo !== null, members.removed, agreement),
      ...(members.removed ? [] : diskNotes(disk.status())),
      ...refusalNotes(refusals.list()),
    ],
  };
}

function notesFor(
  voters: number,
  leaderless: boolean,
  recovering: boolean,
  removed: boolean,
  agreement: Agreement,
): string[] {
  if (removed)
    return ["this node was removed from its cluster: it serves no longer; stop it, or join it as a new node"];
  const differs = agreementNote(agreement);
  const notes: string[] = differs === null ? [] : [differs];
  // Pitfall 34: two nodes survive the loss of none.
  if (voters === 2)
    notes.push("a cluster of two has a quorum of two: if either member stops, writes stop; add a third");
  if (leaderless) notes.push("no leader is known: writes and linearizable reads wait for an election");
  if (recovering) notes.push("this node lost part of its log and neither votes nor acknowledges until it caught up");
  return notes;
}

function refusalNotes(refused: readonly LinkRefusal[]): string[] {
  const more = refused.length - REFUSALS_NOTED_MAX;
  const notes = refused.slice(0, REFUSALS_NOTED_MAX).map(refusalNote);
  return more > 0 ? [...notes, `${more} more links are stopped; openclaw_links_refused counts them by code`] : notes;
}

const refusalNote = ({ side, cluster, code, details, since }: LinkRefusal): string =>
  `the link to the ${side} ${cluster} is stopped since ${new Date(since).toISOString()}: ${code}, ${details}; docs/forks-and-restores.md`;

function diskNotes({ full, refuses }: DiskStatus): string[] {
  const notes: string[] = [];
  if (refuses !== null)
    notes.push(`writes that need room are refused: ${refuses}; delete keys and compact, or raise disk.budgetBytes`);
  else if (full) notes.push("this node's disk budget is used up; the other members have room, so writes go on");
  return notes;
}

async function stateHash({ replica }: ApiDeps) {
  const { hash, rows, content, position } = await replica.read({ kind: "stateHash" });
  return {
    hash: toHex(hash),
    rows,
    content: { hash: toHex(content.hash), rows: content.rows },
    revision: position.revision,
    ledgerHash: toHex(position.hash),
  };
}

const isWebSocket = (address: string): boolean => /\/wss?(\/|$)/.test(address);

const withPeer =
  (peer: string) =>
  (address: string): string =>
    address.includes("/p2p/") ? address : `${address}/p2p/${peer}`;
