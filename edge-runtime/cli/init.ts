/** `openclaw init`. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Command } from "commander";
import { isLoopbackHost } from "../config.ts";
import { initCluster } from "../init.ts";
import { invite } from "../invite.ts";
import { joinLine, QUORUM_OF_TWO } from "./member.ts";
import { collected, examples, print, wholeNumber } from "./reach.ts";

export function addInit(program: Command, name: string): void {
  program
    .command("init")
    .description("make a new cluster's keys, credentials and configurations; overwrites nothing")
    .requiredOption("--cluster <name>", "the cluster's name: lower-case letters, digits and dashes")
    .option("--nodes <count>", "members, 1 to 7", wholeNumber, 3)
    .option("--dir <folder>", "where to put it (default: ./<cluster>)")
    .option("--host <address>", "address that the nodes listen at", "127.0.0.1")
    .option("--http-port <port>", "of the first node; the others follow", wholeNumber, 8_101)
    .option("--p2p-port <port>", "of the first node; the others follow", wholeNumber, 9_101)
    .option("--ws-port <port>", "of the first node; the others follow", wholeNumber, 9_201)
    .option("--parent <name>", "the parent's cluster name")
    .option("--parent-key <hex>", "the parent's public key")
    .option("--parent-address <multiaddr>", "where a member of the parent is; repeat it for several", collected)
    .option(
      "--subscribe <collection>",
      "a document collection to get from the parent; repeat it for several",
      collected,
    )
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
        "openclaw init --cluster shop --parent hub --parent-key 6f…2a --parent-address /ip4/192.0.2.7/tcp/9101/p2p/12D3Koo…",
      ),
    )
    .action(async (options: InitOptions) => {
      const { cluster, nodes, host, page } = options;
      const from = (first: number): number[] => Array.from({ length: nodes }, (_, i) => first + i);
      const parent = parentOf(options);
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
        ...(options.tokens === undefined ? {} : { tokens: options.tokens }),
      });
      print(`cluster ${made.cluster}, public key ${made.clusterKey}`);
      for (const { node, config, http } of made.nodes) print(`${node}  ${http}  ${config}`);
      print("Keep cluster.key safe and apart: it admits nodes, and no running node needs it.");
      print("Start each node with: openclaw node start --config FILE");
      if (made.secured) {
        print(
          "Callers need a token: export OPENCLAW_TOKEN=$(openclaw token --dir FOLDER)".replace("FOLDER", directory),
        );
      }
      const count = options.invite ?? (nodes === 1 ? 2 : 0);
      if (count > 0) await printInvitations(options, name, directory, count);
      if (parent !== undefined) {
        print(
          `Enrol it at the parent with: openclaw enrol --dir PARENT --cluster ${made.cluster} --key ${made.clusterKey}`,
        );
      }
    });
}

interface InitOptions {
  readonly cluster: string;
  readonly nodes: number;
  readonly dir?: string;
  readonly host: string;
  readonly httpPort: number;
  readonly p2pPort: number;
  readonly wsPort: number;
  readonly parent?: string;
  readonly parentKey?: string;
  readonly parentAddress?: string[];
  readonly subscribe?: string[];
  readonly page?: string;
  readonly invite?: number;
  readonly tokens?: boolean;
}

/** Two of them on one box, as on a developer's, need ports of their own. */
async function printInvitations(options: InitOptions, name: string, directory: string, count: number): Promise<void> {
  print(
    `When it runs, ${count === 1 ? "this line joins one more node" : `these lines join ${count} more nodes, each once`}:`,
  );
  for (let at = 0; at < count; at++) {
    const { token } = await invite({ directory, replaces: null, members: null, used: [] });
    print(joinLine(name, token, isLoopbackHost(options.host) ? portsAfter(options, options.nodes + at) : ""));
  }
  if (options.nodes + count === 2) print(QUORUM_OF_TWO);
}

const portsAfter = ({ httpPort, p2pPort, wsPort }: InitOptions, by: number): string =>
  ` --http-port ${httpPort + by} --p2p-port ${p2pPort + by} --ws-port ${wsPort + by}`;

function parentOf({ parent, parentKey, parentAddress, subscribe }: InitOptions) {
  if (parent === undefined) return undefined;
  if (parentKey === undefined || parentAddress === undefined) {
    throw new OpenClawError("BAD_REQUEST", "--parent needs --parent-key and --parent-address");
  }
  return {
    cluster: parent,
    clusterKey: parentKey,
    addresses: parentAddress,
    subscribe: { collections: subscribe ?? [] },
  };
}
