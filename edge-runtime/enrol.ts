/** Makes tokens for new sites, where the hub cluster's key is: needs no running node. */
import { join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, isClusterId } from "@openclaw/core/ids.ts";
import { loadConfig } from "./config.ts";
import { configsIn, KEY_FILE } from "./init.ts";
import { addressesOf, type InvitingMember } from "./invite.ts";
import { createGrant } from "./network/enrolment.ts";
import { ClusterKey, OneTimeKey } from "./network/identity.ts";
import { encodeSiteToken, TOKEN_ADDRESSES_MAX } from "./site-token.ts";

/** Tokens made at once. */
const ENROL_COUNT_MAX = 10_000;

export interface EnrolPlan {
  /** The hub's folder, with its key. */
  readonly directory: string;
  readonly count: number;
  /** The only name that the site may have; null for any. */
  readonly site: string | null;
  /** Who comes with the token is let in at once. */
  readonly approved: boolean;
  /** The hub's members as a node of it tells them; null: as the configurations in the folder do. */
  readonly members: readonly InvitingMember[] | null;
}

/**
 * One token a line of what it returns; each lets one site in.
 * @throws OpenClawError CONFIG_INVALID when the folder holds no cluster with its key, BAD_REQUEST
 */
export async function siteTokens(plan: EnrolPlan): Promise<readonly string[]> {
  const { directory, count, approved, members } = plan;
  if (!Number.isInteger(count) || count < 1 || count > ENROL_COUNT_MAX)
    throw new OpenClawError("BAD_REQUEST", `1 to ${ENROL_COUNT_MAX} tokens at once`);
  const site = plan.site === null ? null : siteName(plan.site, count);
  const [config, ...others] = await Promise.all((await configsIn(directory)).map(loadConfig));
  if (config === undefined) throw new OpenClawError("CONFIG_INVALID", `${directory} holds no cluster`);
  const { cluster } = config;
  const key = await ClusterKey.load(join(directory, KEY_FILE));
  const epochCounter = Math.max(...[config, ...others].map(({ epoch }) => epoch.counter));
  const addresses = addressesOf(members ?? config.members, TOKEN_ADDRESSES_MAX);
  const tokens: string[] = [];
  for (let made = 0; made < count; made++) {
    const oneTimeKey = await OneTimeKey.draw();
    const claim = { cluster, epochCounter, site, approved, key: oneTimeKey.publicKey.hex };
    tokens.push(encodeSiteToken({ grant: createGrant(claim, key), oneTimeKey, clusterKey: key.publicKey, addresses }));
  }
  return tokens;
}

function siteName(text: string, count: number): ClusterId {
  if (!isClusterId(text)) throw new OpenClawError("BAD_REQUEST", `${text} is no cluster's name`);
  if (count > 1) throw new OpenClawError("BAD_REQUEST", "a token for one name is one token");
  return text;
}
