/** `openclaw init`. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Command } from "commander";
import { isLoopbackHost } from "../config.ts";
import { initCluster } from "../init.ts";
import { invite } from "../invite.ts";
import { parseSiteToken, type SiteToken } from "../site-token.ts";
import {
  type CertificateOptions,
  certificateArguments,
  certificateOf,
  otherNames,
  takingCertificate,
} from "./certificate-options.ts";
import { joinLine, QUORUM_OF_TWO } from "./member.ts";
import { examples, print, wholeNumber } from "./reach.ts";
import { type Subscribing, subscribedOf, subscribing } from "./subscribing.ts";

export function addInit(program: Command, name: string): void {
  const init = program
    .command("init")
    .description("make a new cluster's keys, credentials and configurations; overwrites nothing")
    .requiredOption("--cluster <name>", "the cluster's name: lower-case letters, digits and dashes")
    .option("--nodes <count>", "members, 1 to 7", wholeNumber, 3)
    .option("--dir <folder>", "where to put it (default: ./<cluster>)")
    .option("--host <address>", "address that the nodes listen at", "127.0.0.1")
    .option("--http-port <port>", "of the first node; the others follow", wholeNumber, 8_101)
    .option("--p2p-port <port>", "of the first node; the others follow", wholeNumber, 9_101)
    .option("--ws-port <port>", "of the first node; the others follow", wholeNumber, 9_201)
    .option("--parent <token>", "come below a parent, with a token that `site enrol` printed there")
    .option("--page <folder>", "a folder that every node serves at /")
    .option(
      "--invite <count>",
      "print so many `join` lines for further nodes (default: 2 with --nodes 1, else 0)",
      wholeNumber,
    )
    .option("--tokens", "ask callers for tokens on loopback, too; on any other address the nodes always do")
    .addHelpText(
      "after",
      examples(
        "openclaw init --cluster shop --nodes 3",
        "openclaw init --cluster shop --nodes 1 --host 10.0.0.1",
        "openclaw init --cluster shop --host 10.0.0.1 --tls-cert gateway.crt --tls-key gateway.key",
        "openclaw init --cluster shop --parent ocs_lgG… --subscribe-prefix config/",
      ),
    );
  subscribing(takingCertificate(init)).action(async (options: InitOptions) => {
    const { cluster, nodes, host, page } = options;
    const from = (first: number): number[] => Array.from({ length: nodes }, (_, i) => first + i);
    const parent = await parentOf(options);
    const tls = certificateOf(options);
    const directory = options.dir ?? `./${cluster}`;
    const made = await initCluster({
      directory,
      cluster,
      nodes,
      host,
      httpPorts: from(options.httpPort),
      p2pPorts: from(options.p2pPort),
      wsPorts: from(options.wsPort),
      ...(parent === undefined ? {} : { parent }),
      ...(page === undefined ? {} : { page }),
      ...(tls === null ? {} : { tls }),
      ...(options.tokens === undefined ? {} : { tokens: options.tokens }),
    });
    print(`cluster ${made.cluster}, public key ${made.clusterKey}`);
    for (const { node, config, http } of made.nodes) print(`${node}  ${http}  ${config}`);
    for (const { config } of made.nodes) {
      const notice = await otherNames(config);
      if (notice !== null) print(notice);
    }
    print("Keep cluster.key safe and apart: it admits nodes, and no running node needs it.");
    print("Start each node with: openclaw node start --config FILE");
    if (made.secured) {
      print("Callers need a token: export OPENCLAW_TOKEN=$(openclaw token --dir FOLDER)".replace("FOLDER", directory));
    }
    const count = options.invite ?? (nodes === 1 ? 2 : 0);
    if (count > 0) await printInvitations(options, name, directory, count);
    if (parent !== undefined) print(belowParent(made.cluster, parent.token));
  });
}

interface InitOptions extends Subscribing, CertificateOptions {
  readonly cluster: string;
  readonly nodes: number;
  readonly dir?: string;
  readonly host: string;
  readonly httpPort: number;
  readonly p2pPort: number;
  readonly wsPort: number;
  readonly parent?: string;
  readonly page?: string;
  readonly invite?: number;
  readonly tokens?: boolean;
}

/** Two of them on one box, as on a developer's, need ports of their own. */
async function printInvitations(options: InitOptions, name: string, directory: string, count: number): Promise<void> {
  print(
    `When it runs, ${count === 1 ? "this line joins one more node" : `these lines join ${count} more nodes, each once`}:`,
  );
  const tls = certificateOf(options);
  const certificate = tls === null ? "" : certificateArguments(tls);
  for (let at = 0; at < count; at++) {
    const { token } = await invite({ directory, replaces: null, members: null, used: [] });
    const ports = isLoopbackHost(options.host) ? portsAfter(options, options.nodes + at) : "";
    print(joinLine(name, token, `${ports}${certificate}`));
  }
  if (options.nodes + count === 2) print(QUORUM_OF_TWO);
}

const portsAfter = ({ httpPort, p2pPort, wsPort }: InitOptions, by: number): string =>
  ` --http-port ${httpPort + by} --p2p-port ${p2pPort + by} --ws-port ${wsPort + by}`;

/** @throws OpenClawError BAD_REQUEST */
async function parentOf(options: InitOptions) {
  const subscribe = subscribedOf(options);
  if (options.parent === undefined) {
    if (subscribe !== null) throw new OpenClawError("BAD_REQUEST", "what is subscribed to is a parent's: add --parent");
    return undefined;
  }
  const token = await parseSiteToken(options.parent);
  return { token, subscribe: subscribe ?? { collections: [], prefixes: [], mirrors: false } };
}

const belowParent = (cluster: string, { grant }: SiteToken): string =>
  grant.approved
    ? `It ships to ${grant.cluster} as soon as it runs.`
    : `When it runs, let it in at ${grant.cluster} with: openclaw site approve ${cluster}`;
