/**
 * The certificate by which browsers trust this gateway: a page may keep its storage safe only where it came over https
 * (SPEC D7), and from there it may dial nothing but wss. Nodes among themselves do not need it: theirs are the cluster's own
 * credentials (R10).
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { createSecureContext } from "node:tls";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Clock } from "@openclaw/core/ports.ts";

/** Paths of PEM files. */
export interface CertificateFiles {
  /** The gateway's own first, then what leads to the authority. */
  readonly certificate: string;
  readonly key: string;
}

/** What they hold, PEM. */
export interface Pem {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateLog {
  info(context: object, text: string): void;
  warn(context: object, text: string): void;
}

/** How often the files are looked at, ms: who renews them has days. */
const LOOK_EVERY_MS = 60_000;
const FILE_BYTES_MAX = 262_144;

/** Reads them again when they were renewed; a half-written pair is no pair, and is waited out. */
export class Certificate {
  readonly #files: CertificateFiles;
  readonly #clock: Clock;
  readonly #log: CertificateLog;
  #pem: Pem;
  #renewed: (pem: Pem) => void = () => {};
  /** What was wrong at the last look: told once. */
  #complaint = "";
  #cancel: () => void = () => {};
  #isStopped = false;

  private constructor(files: CertificateFiles, clock: Clock, log: CertificateLog, pem: Pem) {
    this.#files = files;
    this.#clock = clock;
    this.#log = log;
    this.#pem = pem;
    this.#lookAgain();
  }

  /** Null where none is configured. @throws OpenClawError CONFIG_INVALID: the files are not there, or do not belong together */
  static async open(files: CertificateFiles | null, clock: Clock, log: CertificateLog): Promise<Certificate | null> {
    return files === null ? null : new Certificate(files, clock, log, await readPem(files));
  }

  get pem(): Pem {
    return this.#pem;
  }

  /** When browsers take it no longer. */
  get expires(): Date {
    return new X509Certificate(this.#pem.cert).validToDate;
  }

  /** @param renewed the files are others, and sound: connections from here on want these */
  follow(renewed: (pem: Pem) => void): void {
    this.#renewed = renewed;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #lookAgain(): void {
    this.#cancel = this.#clock.after(LOOK_EVERY_MS, () => {
      void this.#look().then(() => {
        if (!this.#isStopped) this.#lookAgain();
      });
    });
  }

  async #look(): Promise<void> {
    try {
      const pem = await readPem(this.#files);
      this.#complaint = "";
      if (pem.cert === this.#pem.cert && pem.key === this.#pem.key) return;
      this.#pem = pem;
      this.#renewed(pem);
      this.#log.info({ expires: this.expires }, "the certificate was renewed");
    } catch (error) {
      if (!(error instanceof OpenClawError)) throw error;
      if (error.details === this.#complaint) return;
      this.#complaint = error.details;
      this.#log.warn({ err: error }, "the certificate could not be read again: the one before stays");
    }
  }
}

/** @throws OpenClawError CONFIG_INVALID: the files are not there, or do not belong together */
export async function readPem({ certificate, key }: CertificateFiles): Promise<Pem> {
  const pem = { cert: await readText(certificate), key: await readText(key) };
  let belongs: boolean;
  try {
    belongs = new X509Certificate(pem.cert).checkPrivateKey(createPrivateKey(pem.key));
    // All of the chain, as a listener takes it: it would refuse half of one, and end the node.
    if (belongs) createSecureContext(pem);
  } catch {
    // What Node says of a key that it cannot read may quote it.
    throw new OpenClawError("CONFIG_INVALID", `tls: ${certificate} or ${key} is not PEM`);
  }
  if (!belongs) throw new OpenClawError("CONFIG_INVALID", `tls: ${key} is not the key of ${certificate}`);
  return pem;
}

/** Whether browsers that dial this address, or this name, take it. */
export function isFor({ cert }: Pick<Pem, "cert">, host: string): boolean {
  const certificate = new X509Certificate(cert);
  // Browsers look at alternative names only, never at the subject's (RFC 9525, 2).
  if (isIP(host) === 0) return certificate.checkHost(host, { subject: "never" }) !== undefined;
  return certificate.checkIP(host) !== undefined;
}

async function readText(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    throw new OpenClawError("CONFIG_INVALID", `tls: cannot read ${path}: ${reason}`, { cause: error });
  }
  if (text.length > FILE_BYTES_MAX)
    throw new OpenClawError("CONFIG_INVALID", `tls: ${path} is larger than ${FILE_BYTES_MAX} bytes`);
  return text;
}
