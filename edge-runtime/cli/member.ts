/** `openclaw member …`, `openclaw move-leader`: who belongs to the cluster, and who leads it. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isNodeId } from "@openclaw/core/ids.ts";
import type { Command } from "commander";
import { z } from "zod";
import { loadConfig } from "../config.ts";
import { configsIn } from "../init.ts";
import { invite } from "../invite.ts";
import { clientOf, examples, print, type Reach, reaching } from "./reach.ts";
import { table } from "./status.ts";

export const QUORUM_OF_TWO =
  "A cluster of two has a quorum of two: if either node stops, writes stop. Three survive the loss of one.";

/** What is to be pasted on the new box. */
export const joinLine = (name: string, token: string, more = ""): string => `${name} join ${token}${more}`;

const Members = z.object({
  cluster: z.string(),
  leader: z.string().nullable(),
  quorum: z.number(),
  applyVersion: z.number(),
  joint: z.boolean(),
  members: z.array(
    z.object({
      node: z.string(),
      role: z.string(),
      replaces: z.string().nullable(),
      peer: z.string().nullable(),
      addresses: z.array(z.string()),
      http: z.string().nullable(),
      supports: z.number().nullable(),
    }),
  ),
  removed: z.array(z.string()),
});
type Members = z.infer<typeof Members>;

export function addMember(program: Command, name: string): void {
  const member = program.command("member").description("list, invite, replace and remove members");
  addList(member);
  addInvite(member, name);
  addReplace(member, name);
  addRemove(member);
}

function addList(member: Command): void {
  reaching(member.command("list"))
    .description("the members, their roles and addresses")
    .option("--json", "as JSON")
    .addHelpText("after", examples("openclaw member list", "openclaw member list --json"))
    .action(async (options: Reach & { json?: boolean }) => {
      const answer = await clientOf(options).json({ method: "GET", path: "/v1/members" });
      print(options.json === true ? JSON.stringify(answer) : membersText(Members.parse(answer)));
    });
}

interface InviteOptions extends Reach {
  readonly dir: string;
  readonly json?: boolean;
}

function addInvite(member: Command, name: string): void {
  reaching(member.command("invite"))
    .description("print the line that joins one more node, once; needs the cluster's folder with cluster.key")
    .requiredOption("--dir <folder>", "the cluster's folder")
    .option("--replace <node>", "the new node takes the place of this voter, as `member replace` says")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `${examples("openclaw member invite --dir ./shop", "openclaw member invite --dir ./shop --replace shop-2")}\n\n${QUORUM_OF_TWO}`,
    )
    .action((options: InviteOptions & { replace?: string }) => printInvitation(options, name, options.replace ?? null));
}

function addReplace(member: Command, name: string): void {
  reaching(member.command("replace <node>"))
    .description("print the line that joins a new node in the place of a dead one, in one change of the members")
    .requiredOption("--dir <folder>", "the cluster's folder, with cluster.key")
    .option("--json", "as JSON")
    .addHelpText("after", examples("openclaw member replace shop-2 --dir ./shop --endpoint http://10.0.0.1:8101"))
    .action((node: string, options: InviteOptions) => printInvitation(options, name, node));
}

async function printInvitation(options: InviteOptions, name: string, replaces: string | null): Promise<void> {
  const now = await membersNow(options);
  if (replaces !== null && now !== null && !now.members.some(({ node }) => node === replaces)) {
    throw new OpenClawError("NOT_FOUND", `${replaces} is no member of ${now.cluster}`);
  }
  const members = now === null ? null : now.members;
  const { node, token } = await invite({ directory: options.dir, replaces, members, used: now?.removed ?? [] });
  if (options.json === true) print(JSON.stringify({ node, replaces, token, command: joinLine(name, token) }));
  else print(joinLine(name, token));
}

/** The members, if a node of this cluster can be asked; else what the folder says is all that is known. */
async function membersNow(options: InviteOptions): Promise<Members | null> {
  const [file] = await configsIn(options.dir);
  if (file === undefined) throw new OpenClawError("CONFIG_INVALID", `${options.dir} holds no cluster`);
  const { cluster } = await loadConfig(file);
  try {
    const answer = Members.parse(await clientOf(options).json({ method: "GET", path: "/v1/members" }));
    if (answer.cluster === cluster) return answer;
    throw new OpenClawError("WRONG_CLUSTER", `${options.endpoint.join(", ")} is of ${answer.cluster}`);
  } catch (error) {
    if (!(error instanceof OpenClawError)) throw error;
    process.stderr.write(`The line names the members of ${options.dir} only: ${error.message}\n`);
    return null;
  }
}

function addRemove(member: Command): void {
  reaching(member.command("remove <node>"))
    .description("remove a member for good; its name is not used again")
    .option("--json", "as JSON")
    .addHelpText("after", `${examples("openclaw member remove shop-3")}\n\n${QUORUM_OF_TWO}`)
    .action(async (node: string, options: Reach & { json?: boolean }) => {
      if (!isNodeId(node)) throw new OpenClawError("BAD_REQUEST", `${node} is no node's name`);
      const answer = await clientOf(options).json({ method: "DELETE", path: `/v1/members/${node}` });
      print(options.json === true ? JSON.stringify(answer) : `${node} is removed`);
    });
}

export function addMoveLeader(program: Command): void {
  reaching(program.command("move-leader <node>"))
    .description("let another voter lead")
    .option("--json", "as JSON")
    .addHelpText("after", examples("openclaw move-leader shop-2"))
    .action(async (node: string, options: Reach & { json?: boolean }) => {
      const body = new TextEncoder().encode(JSON.stringify({ node }));
      const headers = { "content-type": "application/json" };
      const answer = await clientOf(options).json({ method: "POST", path: "/v1/leader", body, headers });
      print(options.json === true ? JSON.stringify(answer) : `${node} leads`);
    });
}

function membersText({ cluster, leader, quorum, applyVersion, joint, members, removed }: Members): string {
  const voters = members.filter(({ role }) => role === "voter").length;
  const rows = members.map(({ node, role, replaces, http, addresses, supports }) => [
    node === leader ? `${node} (leader)` : node,
    replaces === null ? role : `${role}, for ${replaces}`,
    supports === null ? "-" : `up to ${supports}`,
    http ?? "",
    addresses[0] ?? "not known",
  ]);
  return [
    `cluster ${cluster}, leader ${leader ?? "none known"}; ${quorum} of ${voters} voters must be alive for a write`,
    `apply version ${applyVersion}`,
    "",
    ...table([["member", "role", "apply", "http", "address"], ...rows]),
    ...(removed.length === 0 ? [] : ["", `removed: ${removed.join(", ")}`]),
    ...(joint ? ["! the voters are being changed"] : []),
    ...(voters === 2 ? [`! ${QUORUM_OF_TWO}`] : []),
  ].join("\n");
}
