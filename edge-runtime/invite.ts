/** Makes tokens for new nodes, where the cluster's key is: needs no running node. */
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isNodeId, type NodeId } from "@openclaw/core/ids.ts";
import { loadConfig, type NodeConfig } from "./config.ts";
import { configsIn, KEY_FILE } from "./init.ts";
import { encodeToken, TOKEN_ADDRESSES_MAX } from "./join-token.ts";
import { ClusterKey, OneTimeKey } from "./network/identity.ts";
import { createInvitation } from "./network/invitation.ts";

/** Names given to invitations so far, one a line: none is given twice. */
const NAMES_FILE = "invited";

export interface InvitationPlan {
  /** The cluster's folder, with its key. */
  readonly directory: string;
  /** The voter that the new node is to replace. */
  readonly replaces: string | null;
  /** The members as a node of the cluster tells them; null: as the configurations in the folder do. */
  readonly members: readonly InvitingMember[] | null;
  /** Names that were used, as a node of the cluster tells them. */
  readonly used: readonly string[];
}

export interface InvitingMember {
  readonly node: string;
  readonly peer: string | null;
  readonly addresses: readonly string[];
}

export interface Invited {
  readonly node: NodeId;
  /** One line; a secret until it is used. */
  readonly token: string;
}

/** @throws OpenClawError CONFIG_INVALID when the folder holds no cluster with its key, BAD_REQUEST for a name that is none */
export async function invite({ directory, replaces, members, used }: InvitationPlan): Promise<Invited> {
  if (replaces !== null && !isNodeId(replaces)) throw new OpenClawError("BAD_REQUEST", `${replaces} is no node's name`);
  const configs = await Promise.all((await configsIn(directory)).map(loadConfig));
  const [config] = configs;
  if (config === undefined) throw new OpenClawError("CONFIG_INVALID", `${directory} holds no cluster`);
  const key = await ClusterKey.load(join(directory, KEY_FILE));
  const known = members ?? config.members;
  const node = await freeName(directory, config, [...known.map((member) => member.node), ...used]);
  const oneTimeKey = await OneTimeKey.draw();
  const { cluster, epoch } = config;
  const token = encodeToken({
    invitation: createInvitation({ cluster, node, replaces, key: oneTimeKey.publicKey.hex }, key),
    oneTimeKey,
    clusterKey: key.publicKey,
    epochCounter: epoch.counter,
    addresses: addressesOf(
      known.filter((member) => member.node !== replaces),
      TOKEN_ADDRESSES_MAX,
    ),
  });
  return { node, token };
}

/** The first TCP address of each, so that a token stays one line that can be pasted. */
export function addressesOf(members: readonly InvitingMember[], most: number): readonly string[] {
  return members
    .flatMap(({ peer, addresses }) => {
      const tcp = addresses.find((address) => !address.endsWith("/ws"));
      return peer === null || tcp === undefined ? [] : [`${tcp}/p2p/${peer}`];
    })
    .slice(0, most);
}

/** The next number that nobody has had: names are not used again. */
async function freeName(directory: string, { cluster }: NodeConfig, known: readonly string[]): Promise<NodeId> {
  const file = join(directory, NAMES_FILE);
  const taken = new Set([...known, ...(await linesOf(file))]);
  let number = 1;
  while (taken.has(`${cluster}-${number}`)) number++;
  const node = `${cluster}-${number}`;
  if (!isNodeId(node))
    throw new OpenClawError("CONFIG_INVALID", `${node} is no node name: the cluster's name is too long`);
  await appendFile(file, `${node}\n`);
  return node;
}

async function linesOf(file: string): Promise<readonly string[]> {
  try {
    return (await readFile(file, "utf8")).split("\n").filter((line) => line !== "");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
