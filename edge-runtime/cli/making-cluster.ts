/** What the commands share that make a cluster of one node out of what an earlier one left: `restore`, `site rebuild`, `site rescue`. */
import type { Command } from "commander";
import type { MadeCluster, NewCluster } from "../backup/new-cluster.ts";
import { type CertificateOptions, certificateOf, otherNames, takingCertificate } from "./certificate-options.ts";
import { print, wholeNumber } from "./reach.ts";

/** The options behind `MakingCluster`, but for the folder, whose name differs. */
export interface MakingCluster extends CertificateOptions {
  readonly key?: string;
  readonly operatorKey?: string;
  readonly host: string;
  readonly httpPort: number;
  readonly p2pPort: number;
  readonly wsPort: number;
  readonly besideLive?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

interface Words {
  /** The option that names the folder. */
  readonly folder: "--to" | "--data";
  /** What is made. */
  readonly what: "cluster" | "site";
  /** When the command refuses, unless it is a drill. */
  readonly live: string;
  readonly dryRun: string;
}

export const makingCluster = (command: Command, { folder, what, live, dryRun }: Words): Command =>
  takingCertificate(
    command
      .option(`${folder} <folder>`, `where to put the ${what}; it must not be there, or be empty`)
      .option("--key <file>", `the ${what}'s cluster.key`)
      .option("--operator-key <file>", `the ${what}'s operator.key, so that tokens stay valid (default: a new one)`)
      .option("--host <address>", "address that the node listens at", "127.0.0.1")
      .option("--http-port <port>", "of the HTTP API", wholeNumber, 8_101)
      .option("--p2p-port <port>", "of the other members", wholeNumber, 9_101)
      .option("--ws-port <port>", "of browsers", wholeNumber, 9_201)
      .option("--beside-live", `also while ${live}, as for a drill: keep the two apart`)
      .option("--dry-run", dryRun)
      .option("--json", "the result as JSON"),
  );

/** Null where the folder, or the key, is not named. @throws OpenClawError BAD_REQUEST: half of a certificate */
export function placeOf(
  options: MakingCluster,
  directory: string | undefined,
): Omit<NewCluster, "cluster" | "epoch" | "tokens"> | null {
  const { key, operatorKey, host, httpPort, p2pPort, wsPort } = options;
  const tls = certificateOf(options);
  if (directory === undefined || key === undefined) return null;
  return {
    directory,
    key,
    operatorKey: operatorKey ?? null,
    host,
    httpPort,
    p2pPort,
    wsPort,
    ...(tls === null ? {} : { tls }),
  };
}

/** @param name of the program @param lines what the command says of it to people */
export async function printMade(
  made: MadeCluster,
  { name, directory, json = false }: { readonly name: string; readonly directory: string; readonly json?: boolean },
  lines: readonly string[],
): Promise<void> {
  const notice = await otherNames(made.node.config);
  if (json) {
    print(JSON.stringify(made));
    if (notice !== null) process.stderr.write(`${notice}\n`);
    return;
  }
  for (const line of lines) print(line);
  if (notice !== null) print(notice);
  for (const line of nextSteps(name, directory, made)) print(line);
}

const nextSteps = (name: string, directory: string, { node, secured }: MadeCluster): readonly string[] => [
  `Start it with: ${name} node start --config ${node.config}`,
  `Then add members: ${name} member invite --dir ${directory} --endpoint ${node.http}`,
  ...(secured ? [`Callers need a token: export OPENCLAW_TOKEN=$(${name} token --dir ${directory})`] : []),
];
