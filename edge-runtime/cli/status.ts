/** `openclaw status`: one node's view of its cluster, for a person. */
import { z } from "zod";

const Transfer = z.object({ peer: z.string(), bytes: z.number(), done: z.number() });

const Status = z.object({
  cluster: z.string(),
  node: z.string(),
  role: z.string(),
  leader: z.string().nullable(),
  term: z.number(),
  revision: z.number(),
  applied: z.number(),
  commit: z.number(),
  compacted: z.number(),
  logTime: z.number(),
  applyVersion: z.number(),
  supports: z.number(),
  quorum: z.number(),
  members: z.array(
    z.object({
      node: z.string(),
      http: z.string().nullable(),
      match: z.number().nullable(),
      heardMsAgo: z.number().nullable(),
      revision: z.number().nullable(),
    }),
  ),
  parent: z
    .object({
      cluster: z.string(),
      enabled: z.boolean(),
      connected: z.boolean(),
      holds: z.number(),
      lag: z.number(),
      failure: z.string().nullable(),
    })
    .nullable(),
  snapshots: z.object({ sending: Transfer.nullable(), receiving: Transfer.nullable() }),
  disk: z.object({
    budget: z.number().nullable(),
    files: z.number().nullable(),
    used: z.number().nullable(),
    refuses: z.string().nullable(),
    order: z.array(z.string()),
    shed: z.object({
      copies: z.number(),
      log: z.number(),
      past: z.number(),
      unshipped: z.number(),
      writes: z.number(),
    }),
    next: z.string().nullable(),
  }),
  shed: z
    .array(z.object({ link: z.string().nullable(), revisions: z.number(), from: z.number(), to: z.number() }))
    .nullable(),
  notes: z.array(z.string()),
  state: z
    .object({
      hash: z.string(),
      rows: z.number(),
      content: z.object({ hash: z.string(), rows: z.number() }),
      revision: z.number(),
    })
    .optional(),
});

export function statusText(answer: unknown): string {
  const status = Status.parse(answer);
  const { cluster, node, role, leader, term, revision, applied, commit, quorum, parent, state } = status;
  const { compacted, logTime, applyVersion, supports } = status;
  const rows = status.members.map(({ node: name, http, match, heardMsAgo, revision: at }) => [
    name === leader ? `${name} (leader)` : name,
    at === null ? "-" : String(at),
    match === null ? "-" : String(match),
    heardMsAgo === null ? "not heard" : name === node ? "this node" : `${(heardMsAgo / 1_000).toFixed(1)} s ago`,
    http ?? "",
  ]);
  return [
    `cluster ${cluster}, asked ${node} (${role}), term ${term}`,
    `leader ${leader ?? "none known"}; ${quorum} of ${status.members.length} must be alive for a write`,
    `revision ${revision}${compacted === 0 ? "" : `, kept from ${compacted} on`}; log: commit ${commit}, applied ${applied}`,
    `log time ${(logTime / 1_000).toFixed(1)} s; apply version ${applyVersion} (this node supports up to ${supports})`,
    ...(parent === null ? ["no parent"] : [parentLine(parent)]),
    ...diskLines(status.disk),
    ...shedLines(status.shed ?? []),
    ...transferLine("sends a snapshot to", status.snapshots.sending),
    ...transferLine("receives a snapshot from", status.snapshots.receiving),
    ...(state === undefined
      ? []
      : [
          `state hash ${state.hash} (${state.rows} rows)`,
          `content hash ${state.content.hash} (${state.content.rows} rows) at revision ${state.revision}`,
        ]),
    "",
    ...table([["member", "revision", "log", "heard", "http"], ...rows]),
    ...status.notes.map((note) => `! ${note}`),
  ].join("\n");
}

function transferLine(does: string, transfer: z.infer<typeof Transfer> | null): string[] {
  if (transfer === null) return [];
  return [`this node ${does} ${transfer.peer}: ${transfer.done} of ${transfer.bytes} bytes`];
}

function diskLines({ budget, files, used, order, shed, next }: z.infer<typeof Status>["disk"]): string[] {
  if (budget === null) return [];
  const mib = (bytes: number): string => (bytes / 1_048_576).toFixed(1);
  const measured =
    used === null || files === null
      ? "not measured yet"
      : `${mib(used)} of ${mib(budget)} MiB (${((100 * used) / budget).toFixed(0)} %), files ${mib(files)} MiB`;
  return [
    `disk ${measured}; room is made in the order ${order.join(", ")}; next: ${next}`,
    `shed since the start: copies ${mib(shed.copies)} MiB, log ${mib(shed.log)} MiB, past ${shed.past} revisions, unshipped ${shed.unshipped} revisions, writes ${shed.writes} refused`,
  ];
}

const shedLines = (all: NonNullable<z.infer<typeof Status>["shed"]>): string[] =>
  all.map(({ link, revisions, from, to }) => {
    const whose = link === null ? "this cluster shed" : `${link} shed`;
    return `${whose} ${revisions} revisions before its parent had them, between ${from} and ${to}; a snapshot stands in their place`;
  });

function parentLine({
  cluster,
  enabled,
  connected,
  holds,
  lag,
  failure,
}: NonNullable<z.infer<typeof Status>["parent"]>): string {
  const link = !enabled
    ? "paused by an operator"
    : connected
      ? "connected"
      : `not connected${failure === null ? "" : `: ${failure}`}`;
  return `parent ${cluster}: ${link} at this node; it holds revision ${holds}, ${lag} behind`;
}

export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
