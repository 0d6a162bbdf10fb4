/** `--tls-cert` and `--tls-key`: what the commands that lay out a node are told of its certificate (docs/https.md). */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Command } from "commander";
import { type CertificateFiles, isFor, readPem } from "../certificate.ts";
import { loadConfig } from "../config.ts";
import { advertised } from "../own-addresses.ts";

export interface CertificateOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export const takingCertificate = (command: Command): Command =>
  command
    .option("--tls-cert <file>", "PEM, the node's own first: with it the API is https, and browsers dial wss")
    .option("--tls-key <file>", "PEM of that certificate's private key");

/** Null where there is none. @throws OpenClawError BAD_REQUEST: one of the two alone */
export function certificateOf({ tlsCert, tlsKey }: CertificateOptions): CertificateFiles | null {
  if (tlsCert !== undefined && tlsKey !== undefined) return { certificate: tlsCert, key: tlsKey };
  if (tlsCert === undefined && tlsKey === undefined) return null;
  const missing = tlsCert === undefined ? "--tls-cert" : "--tls-key";
  throw new OpenClawError("BAD_REQUEST", `--tls-cert and --tls-key go together: add ${missing}`);
}

/** The same options, for another node. */
export const certificateArguments = ({ certificate, key }: CertificateFiles): string =>
  ` --tls-cert ${shellWord(certificate)} --tls-key ${shellWord(key)}`;

const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/**
 * What is to be done where browsers would not take the certificate of the node with that configuration, since it is for other
 * names than the address that they are told to dial; null: nothing.
 */
export async function otherNames(file: string): Promise<string | null> {
  const config = await loadConfig(file);
  if (config.tls === null) return null;
  const host = new URL(advertised(config)).hostname.replace(/^\[|\]$/g, "");
  return isFor(await readPem(config.tls), host)
    ? null
    : `The certificate is not for ${host}: write the names that it is for into \`members\` of ${file} (docs/https.md).`;
}
