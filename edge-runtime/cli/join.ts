/** `openclaw join`: a new node, from a token to a running member. */
import type { Command } from "commander";
import { parseToken } from "../join-token.ts";
import type { NodeOptions } from "../node.ts";
import { type CertificateOptions, certificateOf, otherNames, takingCertificate } from "./certificate-options.ts";
import { examples, print, wholeNumber } from "./reach.ts";

interface JoinOptions extends CertificateOptions {
  readonly dir?: string;
  readonly host?: string;
  readonly httpPort: number;
  readonly p2pPort: number;
  readonly wsPort: number;
  readonly discover: boolean;
  readonly timeout: number;
  readonly start: boolean;
}

export function addJoin(program: Command, name: string, node: NodeOptions): void {
  const join = program
    .command("join <token>")
    .description("make this box a member, with a token that `init` or `member invite` printed, and run its node")
    .option("--dir <folder>", "where to put the node (default: ./<node>)")
    .option("--host <address>", "address to listen at (default: the one from which the members are reached)")
    .option("--http-port <port>", "of the HTTP API", wholeNumber, 8_101)
    .option("--p2p-port <port>", "of the other members", wholeNumber, 9_101)
    .option("--ws-port <port>", "of browsers", wholeNumber, 9_201)
    .option("--no-discover", "ask the token's addresses only, and do not look for members by mDNS")
    .option("--timeout <seconds>", "how long to look for a member", wholeNumber, 60)
    .option("--no-start", "only join; start the node later with `node start`")
    .addHelpText(
      "after",
      `\nThe members are asked at the token's addresses and at what mDNS finds on the local network. A join that broke\nin the middle is run again on the same box with the same --dir.\n${examples(
        `${name} join ocj_lgG…`,
        `${name} join ocj_lgG… --host 10.0.0.2 --dir ./shop-2`,
        `${name} join ocj_lgG… --no-start`,
      )}`,
    );
  takingCertificate(join).action(async (text: string, options: JoinOptions) => {
    const token = await parseToken(text);
    const directory = options.dir ?? `./${token.invitation.node}`;
    // Loaded only here, as for `node start`.
    const { joinCluster } = await import("../join.ts");
    const config = await joinCluster({
      token,
      directory,
      host: options.host ?? null,
      httpPort: options.httpPort,
      p2pPort: options.p2pPort,
      wsPort: options.wsPort,
      tls: certificateOf(options),
      discover: options.discover,
      timeoutMs: options.timeout * 1_000,
      report: (line) => void process.stderr.write(`${line}\n`),
    });
    print(`${token.invitation.node} has joined ${token.invitation.cluster}; its configuration is ${config}`);
    const notice = await otherNames(config);
    if (notice !== null) print(notice);
    if (!options.start) {
      print(`Start it with: ${name} node start --config ${config}`);
      return;
    }
    const { runNode } = await import("./node-start.ts");
    await runNode(config, node);
  });
}
